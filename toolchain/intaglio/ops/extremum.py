"""What MAXIMUM and MINIMUM share: bytes are compared as they are, so all three tensors are quantized alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .base import Call, Ins, Outs, TfliteOp, need, same_quant
from .elementwise import Binary

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Extremum(Binary):
    """The larger of two (`sign` 1) or the smaller (`sign` -1)."""

    sign: ClassVar[int] = 1

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        found = super().check(ins, outs)
        if not found and not all(same_quant(need(t), outs[0]) for t in ins):
            found = ["its inputs and its output must be quantized alike: it compares and copies bytes"]
        return found

    def lower(self, node: Node, graph: Graph) -> Call:
        return self.call(node, graph, "maximum", (("sign", self.sign),))

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp(self.tflite[0], node.inputs, "MaximumMinimumOptions", {}, 2)
