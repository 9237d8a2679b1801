"""Several compiled models in one program: they link, compute what each computes alone, and live where they are told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from elftools.elf.elffile import ELFFile
from linked import (
    EXAMPLE,
    HOST,
    M4,
    M4_GCC,
    ROOT,
    SHARED,
    Use,
    built,
    chain,
    compared,
    found,
    named,
    need,
    need_m4,
    on_m4,
    section,
    small,
    wide,
    written_to,
)

from intaglio import interpret, models, pipeline
from intaglio.build import symbols
from intaglio.emit import tflite
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.graph import Graph
from intaglio.manifest import Manifest


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
