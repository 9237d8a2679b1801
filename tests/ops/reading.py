"""Operators as a file may hold them, sensible or not: for what `from_tflite` takes and refuses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from files import read_back
from harness import MOST, compare, host_c, inputs_for, numpy_reference

from intaglio import oracle
from intaglio.emit import tflite as writer
from intaglio.frontends.tflite import checked, parse
from intaglio.graph import Graph, Node, Tensor
from intaglio.ops.base import Op, TfliteOp
from intaglio.ops.unsupported import Unsupported


@dataclass(frozen=True, eq=False)
class AsWritten(Op):
    """Writes any operator, sensible or not. Without a name it is none of intaglio's own."""

    name: ClassVar[str] = ""
    repeats: ClassVar[bool] = True
    written: TfliteOp | None = None

    def infer(self, ins, outs):
        return [(t.shape, t.dtype) for t in outs]

    def to_tflite(self, node, graph):
        return self.written


def refusal(ins: Sequence[Tensor], outs: Sequence[Tensor], written: TfliteOp) -> str:
    """Why the reader refuses `written`, whose graph tensors are `ins` and `outs`; "" when it takes it."""
    tensors = {t.name: t for t in (*ins, *outs)}
    names = tuple(t.name for t in ins)
    node = Node("node", AsWritten(written), names, tuple(t.name for t in outs))
    inputs = tuple(t.name for t in ins if not t.is_const)
    op = read_back(Graph("case", (node,), tensors, inputs, tuple(t.name for t in outs))).op
    return op.reason if isinstance(op, Unsupported) else ""


def check_written(make, cases: int = 200, seed: int = 1) -> None:
    """Like harness.check_cases, for operators that intaglio reads but writes as another.

    `make(rng)` gives graph inputs, outputs and the operator as the file is to hold it.
    """
    graphs, feeds, judged = [], [], []
    for i in range(min(cases, MOST)):
        rng = np.random.default_rng([seed, i])
        ins, outs, written = make(rng)
        tensors = {t.name: t for t in (*ins, *outs)}
        names = tuple(t.name for t in ins)
        node = Node("node", AsWritten(written), names, tuple(t.name for t in outs))
        data = writer.write(Graph("case", (node,), tensors, names, tuple(t.name for t in outs)))
        graph = checked(parse(data, f"case {i}", f"case_{i}"), f"case {i}")
        rows = inputs_for(graph, rng)
        found = oracle.run(data, [np.stack([row[k] for row in rows]) for k in range(len(names))])
        graphs.append(graph)
        feeds.append(rows)
        judged.append([[out[r] for out in found] for r in range(len(rows))])
    expected = [numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    compare("oracle", graphs, feeds, expected, judged, seed)
    compare("host C", graphs, feeds, expected, host_c(graphs, feeds), seed)
