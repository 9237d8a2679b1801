"""Judges one operator: NumPy reference = host C under ASan and UBSan = the tflite-micro oracle, on random cases.

All cases of an operator go into one C program (one translation unit), so that 200 cases cost one compilation; kernels
are compiled once a run.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cores
import numpy as np

from intaglio import boards, interpret, oracle, pipeline, targets
from intaglio.emit import tflite as writer
from intaglio.firmware import objects
from intaglio.graph import DTYPES, INT_RANGE, Graph, Node, Quant, Tensor, constant, verify
from intaglio.manifest import Manifest
from intaglio.ops.base import Op
from intaglio.targets import Target

Make = Callable[[np.random.Generator], Graph]
MOST = int(os.environ.get("ITG_CASES", 1_000_000))
"""Of random cases: see `pytest --cases`."""
SANITIZE = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


def act(rng, name, shape, dtype="int8", scale=None, zero_point=None) -> Tensor:
    """An activation with random quantization unless given; float32 has none."""
    if dtype == "float32":
        return Tensor(name, tuple(shape), dtype)
    lo, hi = INT_RANGE[dtype]
    if scale is None:
        scale = float(np.float32(np.exp(rng.uniform(np.log(1e-3), np.log(0.5)))))
    if zero_point is None:
        zero_point = int(rng.choice([lo, hi, 0, int(rng.integers(lo, hi + 1))])) if dtype != "int16" else 0
    return Tensor(name, tuple(int(d) for d in shape), dtype, Quant((float(np.float32(scale)),), (zero_point,)))


def const(name, array, quant=None) -> Tensor:
    return constant(name, np.asarray(array), quant)


def graph_of(op: Op, ins, outs) -> Graph:
    """One node; non-constant inputs become graph inputs."""
    tensors = {t.name: t for t in (*ins, *outs) if t is not None}
    inputs = tuple(dict.fromkeys(t.name for t in ins if t is not None and not t.is_const))
    node = Node(op.name, op, tuple("" if t is None else t.name for t in ins), tuple(t.name for t in outs))
    return verify(Graph("case", (node,), tensors, inputs, tuple(t.name for t in outs)), "float")


def inputs_for(graph: Graph, rng, random: int = 2) -> list[list[np.ndarray]]:
    """Random inputs, then everything at the minimum, at the maximum, and alternating."""
    rows = []
    for kind in ["random"] * random + ["low", "high", "mixed"]:
        row = []
        for name in graph.inputs:
            t = graph.tensors[name]
            if t.dtype == "float32":
                span = {"random": 4.0, "low": 1e4, "high": 1e-4, "mixed": 60.0}[kind]
                row.append(rng.uniform(-span, span, t.shape).astype(np.float32))
                continue
            lo, hi = INT_RANGE[t.dtype]
            if kind == "random":
                x = rng.integers(lo, hi + 1, t.shape)
            elif kind == "mixed":
                x = rng.choice([lo, hi], t.shape)
            else:
                x = np.full(t.shape, lo if kind == "low" else hi)
            row.append(np.asarray(x, DTYPES[t.dtype]))
        rows.append(row)
    return rows


def check_cases(
    make_case: Make, cases: int = 200, seed: int = 1, judge: bool = True, target: Target | None = None, uses: str = ""
) -> None:
    """Fails naming seed, case and first differing element. `pytest --cases N` makes at most N.

    Args:
        judge: False for what TFLM lacks.
        target: by whose kernels C is generated: that of this computer, with other folders of kernels perhaps, or a core
            (cores.py), on which the C then runs in QEMU.
        uses: the stem of a kernel that at least half of the cases are to call.
    """
    made = [(np.random.default_rng([seed, i]), i) for i in range(min(cases, MOST))]
    graphs = [replace(make_case(rng), name=f"case_{i}") for rng, i in made]
    feeds = [inputs_for(graph, rng) for graph, (rng, _) in zip(graphs, made, strict=True)]
    _check(graphs, feeds, seed, judge, target, uses)


def check_graphs(graphs: Sequence[Graph], judge: bool = True) -> None:
    """Like check_cases, of these graphs; one program for all."""
    graphs = [replace(graph, name=f"case_{i}") for i, graph in enumerate(graphs)]
    feeds = [inputs_for(graph, np.random.default_rng([1, i])) for i, graph in enumerate(graphs)]
    _check(graphs, feeds, 1, judge, None, "")


def _check(graphs, feeds, seed: int, judge: bool, target: Target | None, uses: str) -> None:
    expected = []
    for i, (graph, rows) in enumerate(zip(graphs, feeds, strict=True)):
        problems = [p for n in graph.nodes for p in n.op.check(graph.ins(n), graph.outs(n))]
        assert not problems, f"seed {seed} case {i}: the test made a case that check refuses: {problems}"
        expected.append(numpy_reference(graph, rows))
    target = target or targets.load("host")
    if uses:
        calling = sum(uses in {c.kernel for n in pipeline.selected(g, target).nodes for c in n.calls} for g in graphs)
        assert calling > len(graphs) / 2, f"{uses} computes {calling} of {len(graphs)} cases"
    compare(f"C on {target.name}", graphs, feeds, expected, run_c(graphs, feeds, target), seed)
    if judge:
        compare("oracle", graphs, feeds, expected, tflm(graphs, feeds), seed)


def numpy_reference(graph, rows):
    """One list of outputs per row, state carried from row to row."""
    stacked = [np.stack([row[k] for row in rows]) for k in range(len(graph.inputs))]
    found = interpret.run(graph, stacked)
    return [[out[i] for out in found] for i in range(len(rows))]


def compare(what, graphs, feeds, expected, found, seed) -> None:
    for i, graph in enumerate(graphs):
        for r, (want, got) in enumerate(zip(expected[i], found[i], strict=True)):
            for k, (a, b) in enumerate(zip(want, got, strict=True)):
                assert a.dtype == b.dtype and a.size == b.size, f"case {i}: {a.dtype}{a.shape} vs {b.dtype}{b.shape}"
                same = a.ravel().view(np.uint8) == b.ravel().view(np.uint8)
                if not same.all():
                    at = int(np.flatnonzero(~same)[0]) // a.dtype.itemsize
                    node = graph.nodes[0]
                    shapes = [(n, t.shape, t.dtype, t.quant) for n, t in graph.tensors.items()]
                    raise AssertionError(
                        f"seed {seed} case {i} input {r} output {k}: NumPy and {what} differ at element {at}: "
                        f"{a.ravel()[at]} and {b.ravel()[at]}; {int((~same).sum())} bytes differ\n{node.op}\n{shapes}"
                    )


def tflm(graphs, feeds):
    """The oracle's outputs, one interpreter a case."""
    results = []
    for graph, rows in zip(graphs, feeds, strict=True):
        stacked = [np.stack([row[k] for row in rows]) for k in range(len(graph.inputs))]
        found = oracle.run(writer.write(graph), stacked)
        results.append([[out[i] for out in found] for i in range(len(rows))])
    return results


def host_c(graphs, feeds):
    """Outputs of the emitted C on this computer."""
    return run_c(graphs, feeds, targets.load("host"))


def run_c(graphs, feeds, target):
    """Outputs of the emitted C, all cases in one program: on this computer compiled by gcc with ASan and UBSan, on a
    core run in QEMU."""
    board = boards.load("host")
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        (folder / "kernels").mkdir()
        written: dict[str, bytes] = {}
        calls, resets = [], []
        for graph in graphs:
            files = pipeline.compile_graph(graph, board, target=target)
            manifest = Manifest.model_validate_json(files.pop("intaglio.json"))
            for name, body in files.items():
                # Headers name the functions of a model's own kernels alone: any of them does, if it is one for all.
                if written.get(name) != body:
                    (folder / name).write_bytes(body)
                    written[name] = body
            calls.append(_call(manifest))
            resets.append(f"{graph.name}_reset(); " if manifest.state_bytes else "")
        # Buffers come from malloc, sized exactly, so that ASan sees the first byte read or written outside.
        main = (
            "".join(f'#include "{graph.name}.c"\n' for graph in graphs) + "#include <stdio.h>\n#include <stdlib.h>\n"
            "static void *get(size_t n) { void *p = malloc(n); if (fread(p, 1, n, stdin) != n) exit(3); return p; }\n"
            "static void put(void *p, size_t n) { fwrite(p, 1, n, stdout); free(p); }\n"
            + "".join(f"static void f{i}(void) {{ {c} }}\n" for i, c in enumerate(calls))
            + "int main(void) {\n"
            + "".join(f"{resets[i]}for (int i = 0; i < {len(feeds[i])}; i++) f{i}();\n" for i in range(len(graphs)))
            + "return 0; }\n"
        )
        (folder / "main.c").write_text(main)
        kernels = [folder / name for name in sorted(written) if name.endswith(".c") and name.startswith("kernels/")]
        if target.system == "host":
            _link([_object(path, folder) for path in kernels], folder)
        else:
            compiler, after = cores.compiler(target, folder)
            _gcc([*compiler, *STRICT, "-I.", "-Ikernels", "main.c", *kernels, *after, "-lm", "-o", "prog"], folder)
        data = b"".join(x.tobytes() for rows in feeds for row in rows for x in row)
        program = [folder / "prog"] if target.system == "host" else cores.program(target, folder / "prog")
        ran = subprocess.run(program, input=data, capture_output=True, timeout=300)
        assert ran.returncode == 0, (ran.stderr or ran.stdout).decode(errors="replace")[:3000]
        return _split(ran.stdout, graphs, feeds)


def _object(source: Path, folder: Path) -> Path:
    """A kernel under the sanitizers, compiled once a run for all tests (intaglio/firmware/objects.py)."""
    obj = source.with_suffix(".o")
    maps = [f"-ffile-prefix-map={folder}=.", f"-fdebug-prefix-map={Path.cwd()}=."]
    command = ["gcc", *SANITIZE, *STRICT, *maps, f"-I{folder}", f"-I{folder / 'kernels'}", "-c", source, "-o", obj]
    shelf = objects.shelf("gcc", {Path.cwd(): "here", folder: "."})
    key = shelf.key(command, obj) if shelf else ""
    if shelf and shelf.fetch(key, obj):
        return obj
    included = source.with_suffix(".d")
    _gcc([*command, "-MD", "-MF", included], None)
    if shelf:
        shelf.keep(key, obj, included)
    return obj


def _link(kernels: list[Path], folder: Path) -> None:
    """main.c has nothing but calls: that is not worth an optimizer's time."""
    command = ["gcc", *SANITIZE, "-O0", "-g1", *STRICT, "-I.", "-Ikernels", "main.c", *kernels, "-lm", "-o", "prog"]
    _gcc(command, folder)


def _gcc(command, folder: Path | None) -> None:
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:3000]


def _call(m: Manifest) -> str:
    name = m.model
    parts = [f"{p.ctype} *a{i} = ({p.ctype} *)get({p.nbytes});" for i, p in enumerate(m.inputs)]
    parts += [f"{p.ctype} *b{i} = ({p.ctype} *)malloc({p.nbytes});" for i, p in enumerate(m.outputs)]
    arguments = [f"a{i}" for i in range(len(m.inputs))] + [f"b{i}" for i in range(len(m.outputs))]
    parts.append(f"{name}_run({', '.join(arguments)});")
    parts += [f"free(a{i});" for i in range(len(m.inputs))]
    parts += [f"put(b{i}, {p.nbytes});" for i, p in enumerate(m.outputs)]
    return " ".join(parts)


def _split(raw: bytes, graphs, feeds):
    results, at = [], 0
    for graph, rows in zip(graphs, feeds, strict=True):
        outs = []
        for _ in rows:
            row = []
            for n in graph.outputs:
                t = graph.tensors[n]
                row.append(np.frombuffer(raw, DTYPES[t.dtype], t.size, at).reshape(t.shape))
                at += t.nbytes
            outs.append(row)
        results.append(outs)
    assert at == len(raw), f"the program wrote {len(raw)} bytes, {at} were expected"
    return results
