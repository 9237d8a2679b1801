"""Operators as a file may hold them, sensible or not: for what `from_tflite` refuses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from files import read_back

from intaglio.graph import Graph, Node, Tensor
from intaglio.ops.base import Op, TfliteOp
from intaglio.ops.unsupported import Unsupported


@dataclass(frozen=True, eq=False)
class AsWritten(Op):
    """Writes any operator, sensible or not. Without a name it is none of intaglio's own."""

    name: ClassVar[str] = ""
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
