"""ARG_MAX: where along a dimension the largest number is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array
from .base import Buf, Call, Ins, Op, Outs, Refuse, Struct, TfliteOp, Types, arr, need
from .movement import axis_index, one_int, tensor_input

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .tflite_node import TfliteNode

INT32 = 2
"""TensorType.INT32 in a .tflite."""


@dataclass(frozen=True)
class ArgMax(Op):
    """inputs: x int8. Output: int32 without dimension `axis`: the index along it of the largest number, the first of
    equals."""

    name: ClassVar[str] = "arg_max"
    tflite: ClassVar[tuple[str, ...]] = ("ARG_MAX",)
    axis: int = 0

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if not 0 <= self.axis < len(x.shape):
            raise GraphError(x.name, f"the largest along dimension {self.axis} of {len(x.shape)}")
        return [(x.shape[: self.axis] + x.shape[self.axis + 1 :], "int32")]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        return [] if x.dtype == "int8" else [f"its input is {x.dtype}; int8 is supported"]

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [np.asarray(arr(xs[0]).argmax(axis=self.axis), np.int32)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x = need(graph.ins(node)[0])
        sizes = (
            ("outer", math.prod(x.shape[: self.axis])), ("size", x.shape[self.axis]),
            ("inner", math.prod(x.shape[self.axis + 1 :])),
        )  # fmt: skip
        arguments = (Buf(x.name), Buf(node.outputs[0]), Struct("itg_arg_max_s8_params", sizes))
        return Call("arg_max", "itg_arg_max_s8", arguments)

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        x = tensor_input(n, 0)
        if x.dtype == "float32":
            raise Refuse("it turns float32 into integers; int8 is supported")
        return cls(axis_index(one_int(n, 1), len(x.shape))), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        inputs = (node.inputs[0], np.array(self.axis, np.int32))
        return TfliteOp("ARG_MAX", inputs, "ArgMaxOptions", {"OutputType": INT32}, 2)

    def forward(self, *xs: Any) -> Any:
        return xs[0].argmax(dim=self.axis)
