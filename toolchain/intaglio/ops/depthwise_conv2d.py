"""DEPTHWISE_CONV_2D: each input channel convolved with `multiplier` filters of its own, dilated too."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .activation import TFLITE_CODE, Activation, torch_activation
from .base import Call, Ins, Op, Outs, Refuse, TfliteOp, Types, arr, need
from .layer import Weighted
from .links import Link, channels
from .portable import RUNTIMES, Form, Runtime, in_eight_bits
from .weighted import (
    WeightedLayer,
    input_offset,
    macs_of,
    output_of,
    weighted_call,
    weighted_channels,
    weighted_layer,
    weighted_problems,
)
from .wide import RUN
from .window import (
    NO_PADS,
    Pads,
    Pair,
    added,
    alike_everywhere,
    hw_of,
    out_hw,
    patches,
    position_lag,
    read_padding,
    rows_of,
    tflite_padding,
    torch_nchw,
)

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class DepthwiseConv2D(Weighted):
    """inputs: x [1][h][w][in_c], weights [1][kh][kw][in_c * multiplier], bias [in_c * multiplier] (optional); int8
    with an int32 bias, int16 with int8 weights and an int64 bias, or all float32.

    Output: [1][out_h][out_w][in_c * multiplier]; output channel c reads input channel c / multiplier.
    """

    name: ClassVar[str] = "depthwise_conv2d"
    tflite: ClassVar[tuple[str, ...]] = ("DEPTHWISE_CONV_2D",)
    out_axis: ClassVar[int] = 3
    per_channel: ClassVar[bool] = True
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    activation: Activation = "none"

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x, w = need(ins[0]), need(ins[1])
        hw = hw_of(x.shape)
        if len(w.shape) != 4 or w.shape[0] != 1 or w.shape[3] % x.shape[3]:
            allowed = "(1, kernel_h, kernel_w, in_c * multiplier)"
            raise GraphError(w.name, f"weights {w.shape} do not fit an input {x.shape}", allowed)
        if len(ins) > 2 and ins[2] is not None and ins[2].shape != (w.shape[3],):
            raise GraphError(ins[2].name, f"a bias of shape {ins[2].shape}", f"({w.shape[3]},)")
        h, wd = out_hw(hw, (w.shape[1], w.shape[2]), self.stride, self.dilation, self.pads)
        return [((x.shape[0], h, wd, w.shape[3]), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if x.shape[0] != 1:
            return [f"its batch is {x.shape[0]}; 1 is supported"]
        if x.dtype == "int16" and need(ins[1]).shape[2] > RUN:
            return [f"its window is {need(ins[1]).shape[2]} wide; with int16 activations {RUN} is supported"]
        return weighted_problems(x, need(ins[1]), ins[2] if len(ins) > 2 else None, outs[0], self.out_axis)

    def macs(self, ins: Ins, outs: Outs) -> int:
        return macs_of(need(ins[1]), outs[0].shape[1] * outs[0].shape[2])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        acc = self.sums(arr(xs[0]).astype(np.float64) - input_offset(need(ins[0])), arr(xs[1]).astype(np.float64))
        return [output_of(acc, xs[2] if len(xs) > 2 else None, ins, outs[0], self.activation)]

    def sums(self, x: Array, weights: Array) -> Array:
        """Sums of products [n][out_h][out_w][out_c] of x [n][h][w][in_c], whose zero is 0: no bias, no activation."""
        _, kernel_h, kernel_w, channels = weights.shape
        windows = patches(x, (kernel_h, kernel_w), self.stride, self.dilation, self.pads, 0)
        acc = np.zeros((*windows.shape[:3], channels))
        for ky in range(kernel_h):
            for kx in range(kernel_w):
                acc += np.repeat(windows[:, :, :, ky, kx, :], channels // x.shape[3], axis=3) * weights[0, ky, kx]
        return acc

    def lower(self, node: Node, graph: Graph) -> Call:
        return weighted_call(self.facts(node, graph))

    def facts(self, node: Node, graph: Graph, by_channel: bool = False) -> WeightedLayer:
        ins, out = graph.ins(node), graph.outs(node)[0]
        x, w = need(ins[0]), need(ins[1])
        sizes = (
            ("in_h", x.shape[1]), ("in_w", x.shape[2]), ("in_c", x.shape[3]),
            ("out_h", out.shape[1]), ("out_w", out.shape[2]), ("multiplier", w.shape[3] // x.shape[3]),
            ("kernel_h", w.shape[1]), ("kernel_w", w.shape[2]),
            ("stride_h", self.stride[0]), ("stride_w", self.stride[1]),
            ("dilation_h", self.dilation[0]), ("dilation_w", self.dilation[1]),
            ("pad_top", self.pads[0]), ("pad_left", self.pads[2]),
        )  # fmt: skip
        return weighted_layer(
            node, graph, sizes, self.activation, w.shape[3], row=w.size // w.shape[3],
            lag=position_lag(x, out, self.stride, self.dilation, self.pads),
        )  # fmt: skip

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        x, w = n.inputs[0], n.inputs[1]
        if x is None or w is None or len(x.shape) != 4 or len(w.shape) != 4:
            raise Refuse("it needs a 4-D input and 4-D weights")
        o = n.options("DepthwiseConv2DOptions")
        # Older converters leave the multiplier at 0; the shapes say it anyway.
        if o.DepthMultiplier() not in (0, w.shape[3] // x.shape[3]):
            raise Refuse(f"its depth multiplier is {o.DepthMultiplier()}, but {x.shape[3]} channels give {w.shape[3]}")
        stride, dilation = (o.StrideH(), o.StrideW()), (o.DilationHFactor(), o.DilationWFactor())
        pads = read_padding(o.Padding(), hw_of(x.shape), (w.shape[1], w.shape[2]), stride, dilation)
        return cls(stride, dilation, pads, n.activation(o.FusedActivationFunction())), (0, 1, 2)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        return in_eight_bits(node, graph, runtimes, {2: RUNTIMES})

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        ins = graph.ins(node)
        x, w = need(ins[0]), need(ins[1])
        padding = tflite_padding(self.pads, hw_of(x.shape), (w.shape[1], w.shape[2]), self.stride, self.dilation)
        if padding is None:
            raise Refuse(f"padding {self.pads} is neither SAME nor VALID")
        fields = {
            "Padding": padding,
            "StrideH": self.stride[0],
            "StrideW": self.stride[1],
            "DepthMultiplier": w.shape[3] // x.shape[3],
            "DilationHFactor": self.dilation[0],
            "DilationWFactor": self.dilation[1],
            "FusedActivationFunction": TFLITE_CODE[self.activation],
        }
        # TFLM's kernel counts the inputs and dereferences a third one even where it is marked absent.
        inputs = tuple(n for n in node.inputs if n)
        return TfliteOp("DEPTHWISE_CONV_2D", inputs, "DepthwiseConv2DOptions", fields, 3)

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        x, w = xs[0], xs[1]
        bias = xs[2] if len(xs) > 2 else None
        # [1][kh][kw][out_c] -> [out_c][1][kh][kw]: with as many groups as channels, torch pairs them as TFLite does.
        y = F.conv2d(torch_nchw(x, self.pads), w.permute(3, 0, 1, 2), bias, self.stride, 0, self.dilation, x.shape[3])
        return torch_activation(y.permute(0, 2, 3, 1), self.activation)

    def padded(self, pads: Pads, fill: float, x: Tensor) -> Op | None:
        return replace(self, pads=added(self.pads, pads)) if fill == 0 else None

    def bare(self) -> tuple[Op, Pads, float] | None:
        return (replace(self, pads=NO_PADS), self.pads, 0.0) if any(self.pads) else None

    def adds_alike(self, values: Array, ins: Ins) -> Array:
        w = need(ins[1])
        zero, kernel = need(ins[0]).zero_point, (w.shape[1], w.shape[2])
        return alike_everywhere(patches(values, kernel, self.stride, self.dilation, self.pads, zero))

    def _mixed(self, weights: Array, in_c: int) -> Array | None:
        # The filters of a single channel: a convolution in all but the order of its weights.
        return np.moveaxis(weights.reshape(-1, weights.shape[3], 1), 1, 0) if in_c == 1 else None

    def unmixed(self, mixed: Array, shape: Sequence[int]) -> Array:
        return np.moveaxis(mixed.astype(np.int8), 0, 1).reshape(*shape[:3], mixed.shape[0])

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        makes = np.arange(channels(outs[0]))
        return [Link(0, 0, makes // (len(makes) // channels(need(ins[0]))), makes)]

    def windows(self, x: Array, shape: Sequence[int], most: int) -> Array:
        windows = patches(x, (shape[1], shape[2]), self.stride, self.dilation, self.pads, 0.0)
        return rows_of(windows, most).transpose(2, 0, 1)

    def grouped(self, weights: Array, in_c: int) -> Array:
        return np.asarray(weights.reshape(-1, in_c, weights.shape[3] // in_c).transpose(1, 2, 0))

    def ungrouped(self, found: Array, shape: Sequence[int]) -> Array:
        return found.transpose(2, 0, 1).reshape(shape)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        x, w = need(ins[0]), need(ins[1])
        if not w.is_const:
            return ties.blocked(ins, outs)
        read = ties.along(x, 3)
        # Of one input channel come ordinary filters; else an input channel has outputs of its own.
        made = ties.new(w.shape[3]) if x.shape[3] == 1 else np.repeat(read, w.shape[3] // x.shape[3])
        return weighted_channels(ins, outs, self.out_axis, made, ties)
