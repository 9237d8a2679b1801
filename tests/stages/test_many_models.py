"""Several compiled models in one program: they link, compute what each computes alone, and live where they are told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from elftools.elf.elffile import ELFFile

from intaglio import assets, boards, compiled_folder, interpret, models, pipeline
from intaglio.build import WARNINGS, symbols
from intaglio.emit import tflite
from intaglio.emit.kernels import content_hash, written
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.graph import DTYPES, Graph, Quant, Tensor, constant
from intaglio.manifest import Manifest
from intaglio.ops.dequantize import Dequantize
from intaglio.ops.max_pool2d import MaxPool2D

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "models"
EXAMPLE = ROOT / "examples" / "two_models"
M4 = "qemu-mps2-an386"
M4_GCC = [
    "arm-none-eabi-gcc", "-std=c99", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16",
    "--specs=rdimon.specs", "-T", str(EXAMPLE / "cortex_m4.ld"), str(EXAMPLE / "startup.c"),
]  # fmt: skip
HOST = {
    "gcc": ["gcc", "-std=c99", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "g++": ["g++", "-x", "c++", "-std=c++11", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "g++17": ["g++", "-x", "c++", "-std=c++17", "-O2"],
    "lto": ["gcc", "-std=c99", "-O3", "-flto=auto", "-Wlto-type-mismatch"],
    "clang": ["clang", "-std=c99", "-O2"],
    "clang++": ["clang++", "-x", "c++", "-std=c++11", "-O2"],
}
ROWS = 3


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def wide() -> Graph:
    """float32 beside int16 in one arena."""
    quant = Quant((1 / 4096,), (0,))
    b = tiny_models.Build("wide", Tensor("x", (1, 8, 8, 3), "int16", quant))
    y = b.add(MaxPool2D((2, 2), (2, 2)), "x", quant=quant)
    y = b.add(Dequantize(), y, quant=None)
    return b.graph(b.add(MaxPool2D((2, 2), (2, 2)), y, quant=None))


def named(graph: Graph, name: str) -> Graph:
    return replace(graph, name=name)


def small() -> list[Graph]:
    """int8, int16, float32, state; two copies of one model."""
    made = [make() for make in (*tiny_models.ALL, tiny_models.floats, wide)]
    return [*made, named(tiny_models.image(), "again")]


def written_to(folder: Path, graph: Graph, board: str = "host") -> Path:
    """The model's own folder in `folder`."""
    out = folder / graph.name
    for name, body in compiled_folder.contents(graph, boards.load(board)).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(body)
    return out


def sources(folders: Sequence[Path]) -> list[str]:
    return [str(p) for f in folders for p in (*sorted(f.glob("*.c")), *sorted(f.glob("kernels/*.c")))]


# ---- a program of all of them -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Use:
    """How the program calls a model: `arena` is the argument of MODEL_run_in, "" for MODEL_run."""

    folder: Path
    arena: str = ""


def program(uses: Sequence[Use], declared: str = "") -> str:
    """A main that runs each model on a row of in.bin in turn, ROWS times, and writes out.bin. Buffers come from malloc,
    so that a sanitizer sees the first byte beyond them."""
    manifests = [Manifest.read(use.folder) for use in uses]
    lines = ["#include <stdio.h>", "#include <stdlib.h>"]
    lines += [f'#include "{name}.h"' for name in dict.fromkeys(m.model for m in manifests)]
    lines += [declared, "static FILE *from, *to;"]
    lines += ["static void *get(size_t n) { void *p = malloc(n); if (fread(p, 1, n, from) != n) exit(3); return p; }"]
    lines += ["static void put(void *p, size_t n) { fwrite(p, 1, n, to); free(p); }", "int main(void)", "{"]
    lines += ['    from = fopen("in.bin", "rb"); to = fopen("out.bin", "wb");']
    for use, m in zip(uses, manifests, strict=True):
        if m.state_bytes:
            lines.append(f"    {m.model}_reset{'_in' if use.arena else ''}({use.arena});")
    lines.append(f"    for (int r = 0; r < {ROWS}; r++) {{")
    for use, m in zip(uses, manifests, strict=True):
        ins = [f"({p.ctype} *)get({p.nbytes})" for p in m.inputs]
        outs = [f"({p.ctype} *)malloc({p.nbytes})" for p in m.outputs]
        lines.append("        {")
        lines += [f"        {p.ctype} *i{k} = {ins[k]};" for k, p in enumerate(m.inputs)]
        lines += [f"        {p.ctype} *o{k} = {outs[k]};" for k, p in enumerate(m.outputs)]
        arguments = (
            [use.arena] * bool(use.arena) + [f"i{k}" for k in range(len(ins))] + [f"o{k}" for k in range(len(outs))]
        )
        lines.append(f"        {m.model}_run{'_in' if use.arena else ''}({', '.join(arguments)});")
        lines += [f"        put(o{k}, {p.nbytes});" for k, p in enumerate(m.outputs)]
        lines += [f"        free(i{k});" for k in range(len(ins))]
        lines.append("        }")
    return "\n".join([*lines, "    }", "    fclose(to);", "    return 0;", "}", ""])


def built(at: Path, command: Sequence[str], uses: Sequence[Use], flags: Sequence[str] = (), declared: str = "") -> Path:
    """The program, compiled by one command as a user would."""
    (at / "main.c").write_text(program(uses, declared))
    folders = list(dict.fromkeys(use.folder for use in uses))
    out = at / "program"
    strict = [*WARNINGS, *flags, *(f"-I{f}" for f in folders)]
    libraries = ["-x", "none", "-lm"] if "c++" in command else ["-lm"]
    done = subprocess.run(
        [*command, *strict, "main.c", *sources(folders), *libraries, "-o", str(out)],
        cwd=at, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:3000]
    return out


def feeds(graphs: Sequence[Graph]) -> list[list[np.ndarray]]:
    """[ROWS, ...] for each input of each graph."""
    rng = np.random.default_rng(11)
    found = []
    for g in graphs:
        ends = [g.tensors[n] for n in g.inputs]
        found.append([
            rng.standard_normal((ROWS, *t.shape)).astype(np.float32) if t.dtype == "float32"
            else rng.integers(np.iinfo(t.dtype).min, np.iinfo(t.dtype).max + 1, (ROWS, *t.shape)).astype(t.dtype)
            for t in ends
        ])  # fmt: skip
    return found


def compared(at: Path, graphs: Sequence[Graph], run: Sequence[str]) -> None:
    """The outputs of the program are those that each graph has alone; floats to a rounding."""
    given = feeds(graphs)
    (at / "in.bin").write_bytes(b"".join(x[r].tobytes() for r in range(ROWS) for xs in given for x in xs))
    (at / "out.bin").unlink(missing_ok=True)
    done = subprocess.run(list(run), cwd=at, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[:3000]
    raw, position = (at / "out.bin").read_bytes(), 0
    expected = [interpret.run(pipeline.executable(g), xs) for g, xs in zip(graphs, given, strict=True)]
    for r in range(ROWS):
        for g, outs in zip(graphs, expected, strict=True):
            for name, want in zip(g.outputs, outs, strict=True):
                t = g.tensors[name]
                got = np.frombuffer(raw, DTYPES[t.dtype], t.size, position).reshape(t.shape)
                position += t.nbytes
                if t.dtype == "float32":
                    np.testing.assert_allclose(got, want[r], rtol=1e-5, atol=1e-6)
                else:
                    np.testing.assert_array_equal(got, want[r], err_msg=f"{g.name}, row {r}")
    assert position == len(raw)


def on_m4(elf: Path) -> list[str]:
    return [
        "qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none",
        "-semihosting-config", "enable=on,target=native", "-kernel", str(elf),
    ]  # fmt: skip


def need_m4() -> None:
    need("arm-none-eabi-gcc")
    need("qemu-system-arm")


@pytest.mark.parametrize("compiler", ["gcc", "g++", "clang++"])
def test_they_link_and_compute_what_each_computes_alone(tmp_path, compiler):
    need(HOST[compiler][0])
    graphs = small()
    uses = [Use(written_to(tmp_path, g)) for g in graphs]
    compared(tmp_path, graphs, [str(built(tmp_path, HOST[compiler], uses))])


SHARING = """
union shared { union image_arena image; union chain_arena chain; union wide_arena wide; };
union shared shared;
static union streaming_arena one, two;
"""


@pytest.mark.parametrize("compiler", ["gcc", "g++17", "lto", "clang"])
def test_one_arena_for_all(tmp_path, compiler):
    """By name without a pointer; one model that keeps state is given an arena, and two instances of it two."""
    need(HOST[compiler][0])
    first, second = tiny_models.streaming(), tiny_models.streaming()
    chained = chain(3)
    graphs = [tiny_models.image(), chained, first, wide(), second]
    folders = {g.name: written_to(tmp_path, g) for g in graphs}
    uses = [
        Use(folders["image"]), Use(folders["chain"]), Use(folders["streaming"], "&one"), Use(folders["wide"]),
        Use(folders["streaming"], "&two"),
    ]  # fmt: skip
    flags = ["-DIMAGE_ARENA=shared", "-DCHAIN_ARENA=shared", "-DWIDE_ARENA=shared", "-DSTREAMING_RUN_IN"]
    elf = built(tmp_path, HOST[compiler], uses, flags, SHARING)
    compared(tmp_path, graphs, [str(elf)])
    if compiler in ("gcc", "clang"):
        table = symbols(elf)
        largest = max(Manifest.read(f).arena_bytes for n, f in folders.items() if n != "streaming")
        assert largest <= table["shared"][1] < largest + 4
        assert not [n for n in table if n.endswith("_arena")]


def chain(layers: int) -> Graph:
    """Floats, with all but the last in the arena."""
    b = tiny_models.Build("chain", Tensor("x", (1, 16, 16, 2), "float32"))
    y = "x"
    for _ in range(layers):
        y = b.add(MaxPool2D((2, 2), (2, 2)), y, quant=None)
    return b.graph(y)


def test_on_a_cortex_m4(tmp_path):
    need_m4()
    graphs = small()
    uses = [Use(written_to(tmp_path, g, M4)) for g in graphs]
    elf = built(tmp_path, [*M4_GCC, "-O2", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"], uses)
    compared(tmp_path, graphs, on_m4(elf))


@pytest.mark.skipif(not (SHARED / "kws_int8.tflite").exists(), reason="needs ../shared/models")
@pytest.mark.parametrize("how", ["M4", "C++"])
def test_kws_and_ad_share_an_arena_in_a_section(tmp_path, how):
    """And a second copy of AD, which has an arena of its own."""
    kws, ad = (pipeline.load(SHARED / f"{name}_int8.tflite") for name in ("kws", "ad"))
    graphs = [named(kws, "kws"), named(ad, "ad"), named(ad, "ad2")]
    board = M4 if how == "M4" else "host"
    uses = [Use(written_to(tmp_path, g, board)) for g in graphs]
    declared = """
union shared { union kws_arena kws; union ad_arena ad; };
__attribute__((section(".ram2"))) union shared shared;
"""
    flags = ["-DKWS_ARENA=shared", "-DAD_ARENA=shared", '-DAD2_ARENA_SECTION=".ram2"']
    if how == "C++":
        need("g++")
        elf = built(tmp_path, ["g++", "-x", "c++", "-std=c++17", "-O2"], uses, flags, declared)
        compared(tmp_path, graphs, [str(elf)])
        return
    need_m4()
    lean = [*M4_GCC, "-O2", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]
    elf = built(tmp_path, lean, uses, flags, declared)
    compared(tmp_path, graphs, on_m4(elf))
    table, (start, size) = symbols(elf), section(elf, ".ram2")
    for name in ("shared", "ad2_arena"):
        assert start <= table[name][0] < start + size
    largest = max(Manifest.read(use.folder).arena_bytes for use in uses[:2])
    assert table["shared"][1] == largest and start == 0x20300000


# ---- kernels ----------------------------------------------------------------------------------------------------


def section(elf: Path, name: str) -> tuple[int, int]:
    """Address and size of a section."""
    with elf.open("rb") as stream:
        found = ELFFile(stream).get_section_by_name(name)
        assert found is not None, name
        return found["sh_addr"], found["sh_size"]


def test_equal_kernels_are_stored_once(tmp_path):
    """Two copies of one model take less flash than the same two with kernels of two releases, by all of the code."""
    need("arm-none-eabi-gcc")
    lean = [*M4_GCC, "-O2", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]
    uses = [Use(written_to(tmp_path, named(tiny_models.image(), name), M4)) for name in ("one", "two")]
    equal = built(tmp_path, lean, uses)
    kernels = {n: size for n, (_, size) in symbols(equal).items() if n.startswith("itg_")}
    flash = section(equal, ".text")[1]
    assert len(kernels) == 5 and sum(kernels.values()) > 1000
    release(uses[1].folder, {name: f"{text}\n" for name, text in kernel_texts().items()})
    unequal = built(tmp_path, lean, uses)
    assert len([n for n in symbols(unequal) if n.startswith("itg_")]) == 10
    assert section(unequal, ".text")[1] - flash >= sum(kernels.values())


def release(folder: Path, texts: Mapping[str, str]) -> None:
    """Puts the kernels of another release into a compiled folder."""
    for name, text in written(texts).items():
        if (folder / "kernels" / name).exists():
            (folder / "kernels" / name).write_text(text)


def test_unequal_kernels_of_one_name_do_not_meet(tmp_path):
    """The second model's fully connected layer is of another release, which adds one to each output."""
    need("gcc")
    graph = tiny_models.two_inputs()
    old, new = (written_to(tmp_path, named(graph, name)) for name in ("old", "new"))
    texts = kernel_texts()
    changed = texts["fully_connected.c"].replace(
        "*out++ = (int8_t)itg_clamp(sum, ", "*out++ = (int8_t)itg_clamp(sum + 1, "
    )
    assert changed != texts["fully_connected.c"]
    release(new, {**texts, "fully_connected.c": changed})
    elf = built(tmp_path, HOST["gcc"], [Use(old), Use(new)])
    given = feeds([graph])[0]
    (tmp_path / "in.bin").write_bytes(b"".join(x[r].tobytes() for r in range(ROWS) for _ in (1, 2) for x in given))
    subprocess.run([elf], cwd=tmp_path, check=True, timeout=60)
    found = np.frombuffer((tmp_path / "out.bin").read_bytes(), np.int8).reshape(ROWS, 2, 7).astype(int)
    expected = np.concatenate([out.reshape(ROWS, -1) for out in interpret.run(graph, given)], axis=1).astype(int)
    np.testing.assert_array_equal(found[:, 0], expected)
    np.testing.assert_array_equal(found[:, 1, :5], expected[:, :5])
    np.testing.assert_array_equal(found[:, 1, 5:], np.minimum(expected[:, 5:] + 1, 127))
    assert (found[:, 0] != found[:, 1]).any()


def kernel_texts() -> dict[str, str]:
    folders = (assets.root() / "runtime_c" / "kernels").iterdir()
    return {p.name: p.read_text() for folder in sorted(folders) for p in sorted(folder.iterdir())}


def test_every_kernel_has_a_name_of_its_contents_and_is_weak(tmp_path):
    """What the compiler defines is what the names were made for: no function is left out."""
    need("gcc")
    texts = kernel_texts()
    (tmp_path / "kernels").mkdir()
    shutil.copy(assets.root() / "runtime_c" / "include" / "itg.h", tmp_path)
    for name, text in written(texts).items():
        (tmp_path / "kernels" / name).write_text(text)
    names = [n for n in texts if n.endswith(".c")]
    subprocess.run(["gcc", "-std=c99", "-O0", "-c", *names], cwd=tmp_path / "kernels", check=True, timeout=300)
    for name in names:
        listed = subprocess.run(
            ["nm", "--defined-only", "-g", name.replace(".c", ".o")], cwd=tmp_path / "kernels", check=True,
            capture_output=True, text=True,
        ).stdout.split("\n")[:-1]  # fmt: skip
        found = [line.split()[1:] for line in listed]
        assert found and all(kind == "W" for kind, _ in found), name
        assert all(symbol.endswith(f"_{content_hash(name, texts)}") for _, symbol in found), name


def test_the_hash_is_of_all_that_a_kernel_is_made_of():
    texts = kernel_texts()

    def changes(name: str) -> set[str]:
        other = {**texts, name: texts[name] + "\n"}
        return {n for n in texts if n.endswith(".c") and content_hash(n, other) != content_hash(n, texts)}

    assert {"conv2d.c", "conv2d_borders.c"} <= changes("conv2d.c")  # the second calls the first
    assert changes("conv2d_borders.c") == {"conv2d_borders.c"}
    assert {"conv2d.c", "conv2d_s4.c", "fully_connected.c"} <= changes("fixed.h")
    assert "conv2d_f32.c" not in changes("fixed.h")


def test_a_header_may_include_what_only_some_compilers_have():
    guarded = """#ifndef ITG_X_H
#define ITG_X_H

#include <stdint.h>
#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

void itg_x(void);

#endif
"""
    source = '#include "x.h"\n\nvoid itg_x(void)\n{\n}\n'
    header = written({"x.h": guarded, "x.c": source})["x.h"]
    assert (
        header.index("#include <arm_acle.h>\n#endif")
        < header.index('extern "C" {')
        < header.index("#define itg_x itg_x_")
    )
    assert header.index("#define itg_x itg_x_") < header.index("void itg_x(void);")


# ---- arena and constants where the user wants them ---------------------------------------------------------------


@pytest.mark.parametrize("compiler", ["gcc", "g++17", "clang"])
def test_sections(tmp_path, compiler):
    """One for all models, another for one of them."""
    need(HOST[compiler][0])
    graphs = [tiny_models.image(), tiny_models.streaming(), tiny_models.movement()]
    uses = [Use(written_to(tmp_path, g)) for g in graphs]
    flags = [
        '-DITG_KERNEL_SECTION=".fast_code"', '-DITG_ARENA_SECTION=".bss.fast"',
        '-DIMAGE_ARENA_SECTION=".noinit.slow"', '-DITG_WEIGHTS_SECTION=".weights"',
    ]  # fmt: skip
    elf = built(tmp_path, HOST[compiler], uses, flags)
    compared(tmp_path, graphs, [str(elf)])
    table = symbols(elf)
    code, code_size = section(elf, ".fast_code")
    kernels = [at for n, (at, _) in table.items() if re.search(r"itg_\w+_[0-9a-f]{8}$", n)]
    assert len(kernels) > 5 and all(code <= at < code + code_size for at in kernels)
    weights, size = section(elf, ".weights")
    held = {n for n, (at, _) in table.items() if weights <= at < weights + size and "image_" in n}
    assert len(held) >= 10 and not {n for n in held if n.endswith("_params")}
    assert weights <= found(elf, "image_l00_weights") < weights + size and found(elf, "image_l00_weights") % 4 == 0
    objects = tmp_path / "image.o"
    subprocess.run([*HOST["gcc"], *flags, "-c", "image/image.c", "-o", objects], cwd=tmp_path, check=True)
    with objects.open("rb") as stream:
        kinds = {s.name: s["sh_type"] for s in ELFFile(stream).iter_sections()}
    assert kinds[".noinit.slow"] == "SHT_NOBITS" and ".bss.fast" not in kinds


def found(elf: Path, name: str) -> int:
    """Address of a symbol, which C++ may have decorated."""
    return next(at for n, (at, _) in symbols(elf).items() if n.endswith(name))


def test_a_model_with_state_does_not_share_its_arena(tmp_path):
    need("gcc")
    folder = written_to(tmp_path, tiny_models.streaming())
    done = subprocess.run(
        ["gcc", "-std=c99", "-DSTREAMING_ARENA=shared", "-c", "streaming.c"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode != 0 and "streaming keeps its state in the arena" in done.stderr


def test_the_user_s_header(tmp_path):
    """ITG_CONFIG says for all files what -D would say for each."""
    need("gcc")
    graph = tiny_models.image()
    uses = [Use(written_to(tmp_path, graph), "&mine")]
    (tmp_path / "config.h").write_text("#define IMAGE_RUN_IN\n")
    flags = ['-DITG_CONFIG="config.h"', "-I."]
    elf = built(tmp_path, HOST["gcc"], uses, flags, "static union image_arena mine;")
    compared(tmp_path, [graph], [str(elf)])


# ---- what is written ---------------------------------------------------------------------------------------------


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


# ---- the example -------------------------------------------------------------------------------------------------


def test_the_example(tmp_path):
    """With an untrained network, and the lines it should print worked out in NumPy; then the same C on a Cortex-M4."""
    torch = pytest.importorskip("torch")
    need("make")
    need("cc")
    torch.manual_seed(2)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 10))
    data = tmp_path / "data"
    data.mkdir()
    graph = simplify(frontend.load(net, torch.zeros(1, 1, 8, 8), "digits"))
    (data / "digits.tflite").write_bytes(tflite.write(graph))
    x = np.random.default_rng(4).integers(0, 17, (60, 8, 8, 1)).astype(np.float32) / 16
    for name, part in (("train", x[:40]), ("test", x[40:])):
        np.savez(data / f"{name}.npz", x=part)
    answers = made(tmp_path, "run")
    graphs = [models.opened(tmp_path / "host" / name) for name in ("quick", "fine")]
    assert answers == meant(graphs, x[40:])
    if all(shutil.which(program) for program in ("arm-none-eabi-gcc", "qemu-system-arm")):
        for g in graphs:
            written_to(tmp_path / M4, g, M4)
        assert made(tmp_path, "m4") == answers


def made(at: Path, goal: str) -> list[str]:
    """The answers that a goal of the example's Makefile prints."""
    done = subprocess.run(
        ["make", "-s", f"BUILD={at}", f"INTAGLIO={sys.executable} -m intaglio", f"PYTHON={sys.executable}", goal],
        cwd=EXAMPLE, env={**os.environ, "PYTHONPATH": str(ROOT / "toolchain")}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [line for line in done.stdout.split("\n") if re.fullmatch(r"\d (quick|fine)", line)]


def meant(graphs: Sequence[Graph], x: np.ndarray) -> list[str]:
    """What main.c prints."""
    scores = {}
    for graph in graphs:
        t = graph.tensors[graph.inputs[0]]
        steps = (x / np.float32(t.scale) + np.float32(0.5)).astype(np.int32) + t.zero_point
        q = np.minimum(steps, np.iinfo(t.dtype).max).astype(t.dtype).reshape(-1, *t.shape)
        scores[graph.name] = interpret.run(graph, [q])[0].reshape(len(x), -1).astype(int)
    lines = []
    for quick, fine in zip(scores["quick"], scores["fine"], strict=True):
        first, second = np.sort(quick)[::-1][:2]
        sure = first - second >= 20
        lines.append(f"{quick.argmax()} quick" if sure else f"{fine.argmax()} fine")
    assert {line.split()[1] for line in lines} == {"quick", "fine"}
    return lines
