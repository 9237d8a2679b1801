"""What an export of every operator gives in TFLM and LiteRT: the quick test and the table of benchmarks/export.py."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import every_operator
import harness
import numpy as np
import packed
import runtimes
from harness import act, graph_of

from intaglio import pipeline
from intaglio.emit import tflite as writer
from intaglio.errors import UnsupportedError
from intaglio.graph import Graph
from intaglio.lower.portable import portable
from intaglio.ops.base import Op
from intaglio.ops.logistic import Logistic
from intaglio.ops.portable import NAMES
from intaglio.ops.softmax import Softmax
from intaglio.ops.tanh import Tanh

CLOSE = 2e-5
"""Of the largest number of a case: how far floats may be from the reference."""
ONE_OFF = {("softmax", "int16", "litert"): 1}
"""Where a runtime may be so far off. LiteRT fills its table of exponentials with the expf of the computer that it runs
on: two of 513 points are one off with the C library of the tests, and so is an output in a thousand."""
AS_IT_IS, OTHERWISE, REFUSED = "as it is", "otherwise", "refused"


@dataclass
class Row:
    """The cases of one operator in one dtype."""

    operator: str
    dtype: str
    cases: int = 0
    how: dict[str, int] = field(default_factory=dict)
    """AS_IT_IS, OTHERWISE and REFUSED: how many cases."""
    said: dict[str, int] = field(default_factory=dict)
    """Why some were written otherwise or refused: how many cases."""
    compared: int = 0
    """Bytes, or floats, that each runtime was compared in."""
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """By runtime, what it refused or gave otherwise: nothing, or the export is wrong."""


def cases(each: int, seed: int = 3):
    """(operator, dtype, graph): all that there is to be exported."""
    yield from every_operator.cases(each, seed)
    yield from ((f"{name}, deep", dtype, graph) for name, dtype, graph in every_operator.deep_cases(each, seed))
    for name, make in packed.CASES.items():
        for bits in (4, 2):
            for i in range(each):
                rng = every_operator.random_of(name, seed, bits, i)
                graph = packed.packed(make(rng), bits, rng)
                yield f"{name}, {bits} bits", "int8", replace(graph, name=f"{name}_{bits}_{i}")
    for name, make in {"logistic": _curve(Logistic()), "tanh": _curve(Tanh()), "softmax": _softmax}.items():
        for i in range(each):
            yield name, "int16", replace(make(every_operator.random_of(name, seed, i)), name=f"{name}_int16_{i}")


def _curve(op: Op):
    def make(rng):
        x = act(rng, "x", (1, 300), "int16", float(np.exp(rng.uniform(-12, -7))))
        return graph_of(op, [x], [act(rng, "y", x.shape, "int16", 1 / 32768)])

    return make


def _softmax(rng):
    x = act(rng, "x", (2, int(rng.integers(2, 60))), "int16", float(np.exp(rng.uniform(-10, -6))))
    return graph_of(Softmax(), [x], [act(rng, "y", x.shape, "int16", 1 / 32768)])


def judged(given, only=runtimes.RUNTIMES) -> list[Row]:
    """Export each graph for `only`, run it there and compare. Rows in the order of the cases."""
    rows: dict[tuple[str, str], Row] = {}
    work: list[tuple[Row, Graph, bytes, list]] = []
    for operator, dtype, graph in given:
        row = rows.setdefault((operator, dtype), Row(operator, dtype))
        row.cases += 1
        graph = pipeline.executable(graph)
        try:
            made, notes = portable(graph, only)
            data = writer.write(made)
        except UnsupportedError as refused:
            how, notes = REFUSED, [p.split(": ", 1)[1] for p in refused.problems]
        else:
            how, notes = OTHERWISE if notes else AS_IT_IS, [n.split(": ", 1)[1] for n in notes]
            work.append((row, graph, data, every_operator.feeds(graph, np.random.default_rng(row.cases))))
        row.how[how] = row.how.get(how, 0) + 1
        for note in notes:
            row.said[_general(note)] = row.said.get(_general(note), 0) + 1
    wanted = [harness.numpy_reference(graph, feeds) for _, graph, _, feeds in work]
    for runtime in only:
        found = runtimes.outputs(runtime, [data for _, _, data, _ in work], [feeds for *_, feeds in work])
        for (row, graph, _, feeds), want, got in zip(work, wanted, found, strict=True):
            off = ONE_OFF.get((row.operator, row.dtype, runtime), 0)
            problem = got if isinstance(got, str) else _differing(want, got, feeds, off)
            row.compared += 0 if runtime != only[0] else sum(a.size for outs in want for a in outs)
            if problem:
                row.wrong.setdefault(NAMES[runtime], []).append(f"{graph.name}: {problem}")
    return list(rows.values())


def _general(note: str) -> str:
    """A reason without the numbers of one case."""
    return " ".join("n" if word.strip(";,").isdigit() and len(word) > 1 else word for word in note.split())


def _differing(want, got, feeds, off=0) -> str:
    """What differs, or an empty string: integers must be equal (or at most `off` apart), floats close."""
    for outs, made, given in zip(want, got, feeds, strict=True):
        largest = max(float(np.abs(v.astype(np.float64)).max()) for v in (*given, *outs)) + 1e-6
        for a, b in zip(outs, made, strict=True):
            if a.dtype != b.dtype or a.size != b.size:
                return f"{b.dtype}{b.shape} where {a.dtype}{a.shape} is right"
            if a.dtype == np.float32:
                error = float(np.abs(a.ravel().astype(np.float64) - b.ravel()).max()) / largest
                if not error < CLOSE:
                    return f"an error of {error:.1e}"
            elif (np.abs(a.ravel().astype(np.int64) - b.ravel()) > off).any():
                return f"{int((a.ravel() != b.ravel()).sum())} of {a.size} numbers differ"
    return ""
