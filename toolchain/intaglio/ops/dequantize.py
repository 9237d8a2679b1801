"""DEQUANTIZE: integers of 8 or 16 bits to float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array
from .base import Buf, Call, Ins, Op, Outs, Refuse, Struct, TfliteOp, Types, arr, need
from .integer import tensor_problem

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .tflite_node import TfliteNode

FUNCTIONS = {
    "int8": "itg_dequantize_s8_f32", "uint8": "itg_dequantize_u8_f32", "int16": "itg_dequantize_s16_f32",
}  # fmt: skip


@dataclass(frozen=True)
class Dequantize(Op):
    """inputs: x int8, uint8 or int16; output: float32 of the same shape, scale * (q - zero point)."""

    name: ClassVar[str] = "dequantize"
    tflite: ClassVar[tuple[str, ...]] = ("DEQUANTIZE",)
    requantizes: ClassVar[bool] = True

    def infer(self, ins: Ins, outs: Outs) -> Types:
        return [(need(ins[0]).shape, "float32")]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if x.dtype not in FUNCTIONS:
            return [f"its input is {x.dtype}; {', '.join(FUNCTIONS)} are supported"]
        problem = tensor_problem(x)
        return [problem] if problem else []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        x = need(ins[0])
        distance = arr(xs[0]).astype(np.int32) - x.zero_point
        with np.errstate(over="ignore", under="ignore"):
            return [np.float32(x.scale) * distance.astype(np.float32)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x = need(graph.ins(node)[0])
        fields = (("count", x.size), ("scale", float(x.scale)), ("zero_point", x.zero_point))
        params = Struct("itg_dequantize_params", fields)
        return Call("dequantize", FUNCTIONS[x.dtype], (Buf(x.name), Buf(node.outputs[0]), params))

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        if len(n.inputs) != 1 or n.inputs[0] is None or len(n.outputs) != 1:
            raise Refuse("it needs one input and one output")
        return cls(), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("DEQUANTIZE", node.inputs, "DequantizeOptions", {}, 2)

    def forward(self, *xs: Any) -> Any:
        return xs[0]
