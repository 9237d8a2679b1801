"""DEQUANTIZE: 8-bit numbers to float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array
from .base import Buf, Call, Ins, Op, Outs, Refuse, Struct, TfliteOp, Types, arr, need

if TYPE_CHECKING:
    from ..frontends.tflite import TfliteNode
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Dequantize(Op):
    """inputs: x int8 or uint8; output: float32 of the same shape, scale * (q - zero point)."""

    name: ClassVar[str] = "dequantize"
    tflite: ClassVar[tuple[str, ...]] = ("DEQUANTIZE",)

    def infer(self, ins: Ins, outs: Outs) -> Types:
        return [(need(ins[0]).shape, "float32")]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if x.dtype not in ("int8", "uint8"):
            return [f"its input is {x.dtype}; int8 and uint8 are supported"]
        if x.quant is None or not x.quant.per_tensor:
            return [f"{x.name} must have one scale and one zero point"]
        return []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        x = need(ins[0])
        distance = arr(xs[0]).astype(np.int32) - x.zero_point
        with np.errstate(over="ignore", under="ignore"):
            return [np.float32(x.scale) * distance.astype(np.float32)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x = need(graph.ins(node)[0])
        fields = (("count", x.size), ("scale", float(x.scale)), ("zero_point", x.zero_point))
        function = "itg_dequantize_s8_f32" if x.dtype == "int8" else "itg_dequantize_u8_f32"
        params = Struct("itg_dequantize_params", fields)
        return Call("dequantize", function, (Buf(x.name), Buf(node.outputs[0]), params))

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        if len(n.inputs) != 1 or n.inputs[0] is None or len(n.outputs) != 1:
            raise Refuse("it needs one input and one output")
        return cls(), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("DEQUANTIZE", node.inputs, "DequantizeOptions", {}, 2)

    def forward(self, *xs: Any) -> Any:
        return xs[0]
