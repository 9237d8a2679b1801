"""What MAXIMUM and MINIMUM share: integers are compared as they are, so all three tensors are quantized alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .base import Call, Picks, TfliteOp, same_quant
from .elementwise import Binary

if TYPE_CHECKING:
    from ..graph import Graph, Node, Tensor


@dataclass(frozen=True)
class Extremum(Binary):
    """The larger of two (`sign` 1) or the smaller (`sign` -1)."""

    sign: ClassVar[int] = 1
    picks: ClassVar[Picks] = "some"

    @property
    def clamps_alike(self) -> bool:
        return True

    def check_int8(self, a: Tensor, b: Tensor, out: Tensor) -> list[str]:
        if not (same_quant(a, out) and same_quant(b, out)):
            return ["its inputs and its output must be quantized alike: it compares and copies bytes"]
        return []

    check_int16 = check_int8

    def lower(self, node: Node, graph: Graph) -> Call:
        return self.call(node, graph, "maximum", (("sign", self.sign),))

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp(self.tflite[0], node.inputs, "MaximumMinimumOptions", {}, 2)
