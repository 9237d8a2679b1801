"""What generated C says of itself, and how it is for compilers that are not here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from linked import M4, Use, built, chain, compared, found, named, need, small, sources, wide, written_to

from intaglio import assets, boards, compiled_folder, pipeline
from intaglio.graph import Graph, constant


def test_every_file_says_what_it_is_and_every_header_serves_cpp():
    from intaglio import version

    for graph in small():
        for name, body in compiled_folder.contents(graph, boards.load("host")).items():
            text = body.decode("utf-8", "replace")
            if not name.endswith((".c", ".h")):
                continue
            start = "\n".join(text.split("\n")[:4])
            assert f"intaglio {version()}" in start and "SPDX-License-Identifier: " in start, name
            if name.endswith(".h") and name != "itg.h":
                assert text.count('extern "C" {') == 1, name
            model_hash = re.search(r"from model ([0-9a-f]{12})", start)
            assert (model_hash is not None) == (Path(name).stem == graph.name)
            if name == f"{graph.name}.h":
                assert model_hash and f'#define {graph.name.upper()}_HASH "{model_hash[1]}"' in text


def hash_of(graph: Graph) -> str:
    text = pipeline.compile_graph(graph, "host")[f"{graph.name}.h"].decode()
    found = re.search(r'_HASH "([0-9a-f]{12})"', text)
    assert found
    return found[1]


def test_the_hash_of_a_model_is_of_what_it_computes():
    graph = tiny_models.image()
    assert hash_of(graph) == hash_of(named(tiny_models.image(), "other"))
    weights = next(t for t in graph.tensors.values() if t.name.startswith("w"))
    assert weights.data is not None
    data = weights.data.copy()
    data.flat[0] ^= 1
    changed = replace(graph, tensors={**graph.tensors, weights.name: constant(weights.name, data, weights.quant)})
    assert hash_of(changed) != hash_of(graph)
    nodes = [replace(n, op=replace(n.op, activation="none")) if n.op.name == "conv2d" else n for n in graph.nodes]
    assert hash_of(replace(graph, nodes=tuple(nodes))) != hash_of(graph)


def test_a_name_for_each_place_in_the_arena():
    """The map has the bytes and the time of each tensor, and no two that are held at one time overlap, unless one is
    the other's next form."""
    for graph in (tiny_models.image(), tiny_models.streaming(), wide(), chain(4)):
        text = pipeline.compile_graph(graph, "host")[f"{graph.name}.c"].decode()
        rows = re.findall(r"^    (\w+_at) = (\d+),? +/\* \.\.(\d+) +(always|\d+)(?: to (\d+))? ", text, re.M)
        places = {name: (int(first), int(last)) for name, first, last, *_ in rows}
        assert places and set(re.findall(r"arena \+ (\w+)", text)) <= set(places)
        assert not re.search(r"arena \+ \d", text)
        top = max(last for _, last in places.values()) + 1
        assert f"ARENA_BYTES {top} " in pipeline.compile_graph(graph, "host")[f"{graph.name}.h"].decode()
        rows_of = {name: alive for name, _, _, alive, _ in rows}
        alive = {n: (-1, 999) if a == "always" else (int(a), int(b or a)) for n, _, _, a, b in rows}
        for a in places:
            for b in places:
                together = alive[a][0] < alive[b][1] and alive[b][0] < alive[a][1]
                overlap = places[a][0] <= places[b][1] and places[b][0] <= places[a][1]
                on_the_state = places[a] == places[b] and {rows_of[a], rows_of[b]} & {"always"}
                assert a == b or on_the_state or not (together and overlap), (a, b)


@pytest.mark.parametrize("compiler", ["clang", "arm-none-eabi-gcc"])
def test_warnings_that_firmware_projects_turn_on(tmp_path, compiler):
    need(compiler)
    folders = [written_to(tmp_path, g, M4) for g in (tiny_models.image(), tiny_models.streaming(), wide())]
    flags = ["-Wcast-align", "-Wcast-qual", "-Wundef", "-Wmissing-prototypes", "-Wstrict-prototypes", "-Werror"]
    flags += [] if compiler == "clang" else ["-Wcast-align=strict", "-mcpu=cortex-m4", "-mthumb"]
    done = subprocess.run(
        [compiler, "-std=c99", *flags, "-fsyntax-only", *sources(folders)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:3000]


def test_where_buffers_may_start():
    ends = pipeline.compile_graph(wide(), "host")["wide.h"].decode()
    assert "Buffers start in at a multiple of 2; out at a multiple of 4." in " ".join(ends.split()).replace(" * ", " ")
    assert "Buffers start anywhere." in pipeline.compile_graph(tiny_models.image(), "host")["image.h"].decode()


# ---- other compilers ---------------------------------------------------------------------------------------------


def expansions(flags: Sequence[str], compiler: str = "gcc") -> Mapping[str, str]:
    """What itg.h makes of its macros."""
    uses = {"align": "ITG_ALIGN(4)", "section": "ITG_SECTION(PLACE)", "kernel": "ITG_KERNEL"}
    text = f'#include "{assets.root()}/runtime_c/include/itg.h"\n' + "".join(f"@{k} {v}\n" for k, v in uses.items())
    done = subprocess.run(
        [compiler, "-E", "-P", *flags, '-DPLACE=".fast"', "-"], input=text, capture_output=True, text=True, check=True
    )
    words = " ".join(done.stdout.split())
    return {k: (re.search(rf"@{k} ?([^@]*)", words) or [""])[1].strip() for k in uses}


def test_iar_and_compilers_that_are_not_known():
    need("gcc")
    assert expansions([]) == {
        "align": "__attribute__((aligned(4)))", "section": '__attribute__((section(".fast")))',
        "kernel": "__attribute__((weak))",
    }  # fmt: skip
    iar = expansions(["-D__IAR_SYSTEMS_ICC__", "-U__GNUC__"])
    assert iar["kernel"] == "__weak"
    assert re.sub(r"#pragma |_Pragma\(|[ )\\\"]", "", iar["align"]) == "data_alignment=4"
    assert re.sub(r"#pragma |_Pragma\(|[ )\\\"]", "", iar["section"]) == "location=.fast"
    other = ["-U__GNUC__", "-U__clang__"]
    assert expansions([*other, "-std=c11"])["align"] == "_Alignas(4)"
    assert expansions([*other, "-x", "c++", "-std=c++11"])["align"] == "alignas(4)"
    assert expansions([*other, "-std=c11"])["kernel"] == ""
    with pytest.raises(subprocess.CalledProcessError):
        expansions([*other, "-std=c99"])
    assert expansions([*other, "-std=c99", "-DITG_ALIGN(n)=mine(n)"])["align"] == "mine(4)"


@pytest.mark.parametrize("standard", [["gcc", "-std=c11"], ["g++", "-x", "c++", "-std=c++11"]])
def test_alignment_of_the_language_itself(tmp_path, standard):
    """As for a compiler without attributes."""
    need(standard[0])
    graph = tiny_models.image()
    folder = written_to(tmp_path, graph)
    header = folder / "itg.h"
    text = header.read_text()
    assert "defined(__GNUC__) || defined(__clang__)" in text
    header.write_text(text.replace("defined(__GNUC__) || defined(__clang__)", "0"))
    elf = built(tmp_path, standard, [Use(folder)], ["-O2"])
    compared(tmp_path, [graph], [str(elf)])
    assert found(elf, "image_l00_weights") % 4 == 0
