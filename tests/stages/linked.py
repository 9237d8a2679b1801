"""Programs of several compiled models: built as a user would, on the host and for a Cortex-M4, and judged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from elftools.elf.elffile import ELFFile

from intaglio import boards, compiled_folder, interpret, pipeline
from intaglio.build import WARNINGS, symbols
from intaglio.graph import DTYPES, Graph, Quant, Tensor
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


def chain(layers: int) -> Graph:
    """Floats, with all but the last in the arena."""
    b = tiny_models.Build("chain", Tensor("x", (1, 16, 16, 2), "float32"))
    y = "x"
    for _ in range(layers):
        y = b.add(MaxPool2D((2, 2), (2, 2)), y, quant=None)
    return b.graph(y)


def section(elf: Path, name: str) -> tuple[int, int]:
    """Address and size of a section."""
    with elf.open("rb") as stream:
        found = ELFFile(stream).get_section_by_name(name)
        assert found is not None, name
        return found["sh_addr"], found["sh_size"]


def found(elf: Path, name: str) -> int:
    """Address of a symbol, which C++ may have decorated."""
    return next(at for n, (at, _) in symbols(elf).items() if n.endswith(name))
