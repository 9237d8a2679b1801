"""What AVERAGE_POOL_2D and MAX_POOL_2D share: everything but the arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from .activation import TFLITE_CODE, Activation, activation_range
from .base import Buf, Call, Ins, Op, Outs, Overlap, Refuse, Struct, TfliteOp, Types, need
from .float32 import float_bounds, float_problems, is_float
from .integer import integer_problems, kernel
from .links import Link, each
from .movement import alike, tensor_input
from .window import Pads, Pair, hw_of, out_hw, position_lag, read_padding, tflite_padding

if TYPE_CHECKING:
    from ..graph import Array, Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class Pool2D(Op):
    """inputs: x [1][h][w][c]; output [1][out_h][out_w][c], quantized as x is, or both float32.

    Padded elements do not take part.
    """

    homogeneous: ClassVar[bool] = True
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    activation: Activation = "none"

    @property
    def shares_quant(self) -> bool:
        return True

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        h, w = out_hw(hw_of(x.shape), self.kernel, self.stride, (1, 1), self.pads)
        return [((x.shape[0], h, w, x.shape[3]), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x, out = need(ins[0]), outs[0]
        if x.shape[0] != 1:
            return [f"its batch is {x.shape[0]}; 1 is supported"]
        if is_float(ins, outs):
            return float_problems(ins, outs)
        problems = integer_problems(ins, outs)
        if not problems and not alike(x, out):
            problems = ["its output is quantized unlike its input"]
        return problems

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        sizes = (
            ("in_h", x.shape[1]), ("in_w", x.shape[2]), ("channels", x.shape[3]),
            ("out_h", out.shape[1]), ("out_w", out.shape[2]),
            ("kernel_h", self.kernel[0]), ("kernel_w", self.kernel[1]),
            ("stride_h", self.stride[0]), ("stride_w", self.stride[1]),
            ("pad_top", self.pads[0]), ("pad_left", self.pads[2]),
        )  # fmt: skip
        if is_float([x], [out]):
            params = Struct("itg_pool2d_f32_params", (*sizes, *float_bounds(self.activation)))
        else:
            low, high = activation_range(self.activation, out)
            params = Struct("itg_pool2d_params", (*sizes, ("out_min", low), ("out_max", high)))
        behind = Overlap(x.name, position_lag(x, out, self.stride, (1, 1), self.pads))
        return Call(*kernel(self.name, x), (Buf(x.name), Buf(out.name), params), overlaps=(behind,))

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Self, tuple[int, ...]]:
        x = tensor_input(n, 0)
        if len(x.shape) != 4:
            raise Refuse("it needs a 4-D input")
        o = n.options("Pool2DOptions")
        kernel, stride = (o.FilterHeight(), o.FilterWidth()), (o.StrideH(), o.StrideW())
        pads = read_padding(o.Padding(), hw_of(x.shape), kernel, stride)
        return cls(kernel, stride, pads, n.activation(o.FusedActivationFunction())), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        hw = hw_of(need(graph.ins(node)[0]).shape)
        padding = tflite_padding(self.pads, hw, self.kernel, self.stride)
        if padding is None:
            raise Refuse(f"padding {self.pads} is neither SAME nor VALID")
        fields = {
            "Padding": padding,
            "StrideH": self.stride[0],
            "StrideW": self.stride[1],
            "FilterHeight": self.kernel[0],
            "FilterWidth": self.kernel[1],
            "FusedActivationFunction": TFLITE_CODE[self.activation],
        }
        return TfliteOp(self.tflite[0], node.inputs, "Pool2DOptions", fields, 2)

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return [each(outs[0])]

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return [ties.spread(ties.along(need(ins[0]), 3), outs[0].shape, 3)]
