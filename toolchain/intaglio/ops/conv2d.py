"""CONV_2D: 2-D convolution, dilated and grouped too, with a fused activation."""

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
from .portable import RUNTIMES, Form, Parts, Runtime, bias_quant, in_eight_bits
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
class Conv2D(Weighted):
    """inputs: x [1][h][w][in_c], weights [out_c][kh][kw][in_c / groups], bias [out_c] (optional); int8 with an int32
    bias, int16 with int8 weights and an int64 bias, or all float32.

    Output: [1][out_h][out_w][out_c]. Groups follow from the shapes, as in TFLite.
    """

    name: ClassVar[str] = "conv2d"
    tflite: ClassVar[tuple[str, ...]] = ("CONV_2D",)
    bias_by_place: ClassVar[bool] = True
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    activation: Activation = "none"

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x, w = need(ins[0]), need(ins[1])
        hw = hw_of(x.shape)
        if len(w.shape) != 4 or x.shape[3] % w.shape[3] or w.shape[0] % (x.shape[3] // w.shape[3]):
            raise GraphError(w.name, f"weights {w.shape} do not fit an input {x.shape}")
        if len(ins) > 2 and ins[2] is not None and ins[2].shape != (w.shape[0],):
            raise GraphError(ins[2].name, f"a bias of shape {ins[2].shape}", f"({w.shape[0]},)")
        h, wd = out_hw(hw, (w.shape[1], w.shape[2]), self.stride, self.dilation, self.pads)
        return [((x.shape[0], h, wd, w.shape[0]), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if x.shape[0] != 1:
            return [f"its batch is {x.shape[0]}; 1 is supported"]
        return weighted_problems(x, need(ins[1]), ins[2] if len(ins) > 2 else None, outs[0], self.out_axis)

    def macs(self, ins: Ins, outs: Outs) -> int:
        return macs_of(need(ins[1]), outs[0].shape[1] * outs[0].shape[2])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        # Integer products: float64 sums are exact up to 2**53, and BLAS makes them fast.
        acc = self.sums(arr(xs[0]).astype(np.float64) - input_offset(need(ins[0])), arr(xs[1]).astype(np.float64))
        return [output_of(acc, xs[2] if len(xs) > 2 else None, ins, outs[0], self.activation)]

    def sums(self, x: Array, weights: Array) -> Array:
        """Sums of products [n][out_h][out_w][out_c] of x [n][h][w][in_c], whose zero is 0: no bias, no activation."""
        out_c, kernel_h, kernel_w, per_group = weights.shape
        windows = patches(x, (kernel_h, kernel_w), self.stride, self.dilation, self.pads, 0)
        n, oh, ow = windows.shape[:3]
        groups = x.shape[3] // per_group
        acc = np.empty((n, oh, ow, out_c))
        per = out_c // groups
        for g in range(groups):
            columns = windows[..., g * per_group : (g + 1) * per_group].reshape(n * oh * ow, -1)
            rows = weights[g * per : (g + 1) * per].reshape(per, -1)
            acc[..., g * per : (g + 1) * per] = (columns @ rows.T).reshape(n, oh, ow, per)
        return acc

    def lower(self, node: Node, graph: Graph) -> Call:
        return weighted_call(self.facts(node, graph))

    def facts(self, node: Node, graph: Graph, by_channel: bool = False) -> WeightedLayer:
        ins, out = graph.ins(node), graph.outs(node)[0]
        x, w = need(ins[0]), need(ins[1])
        sizes = (
            ("in_h", x.shape[1]), ("in_w", x.shape[2]), ("in_c", x.shape[3]),
            ("out_h", out.shape[1]), ("out_w", out.shape[2]), ("out_c", out.shape[3]),
            ("kernel_h", w.shape[1]), ("kernel_w", w.shape[2]), ("group_in_c", w.shape[3]),
            ("stride_h", self.stride[0]), ("stride_w", self.stride[1]),
            ("dilation_h", self.dilation[0]), ("dilation_w", self.dilation[1]),
            ("pad_top", self.pads[0]), ("pad_left", self.pads[2]),
        )  # fmt: skip
        return weighted_layer(
            node, graph, sizes, self.activation, w.shape[0], row=w.size // w.shape[0], span=self._span(x, w),
            taps=w.shape[1] * w.shape[2], lag=position_lag(x, out, self.stride, self.dilation, self.pads),
        )  # fmt: skip

    def _span(self, x: Tensor, w: Tensor) -> int | None:
        """Elements of x from the first to the last that a window inside it meets; None when none fits inside."""
        h, wd = ((k - 1) * d for k, d in zip(w.shape[1:3], self.dilation, strict=True))
        inside = h < x.shape[1] and wd < x.shape[2]
        return (h * x.shape[2] + wd) * x.shape[3] + w.shape[3] if inside else None

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        x, w = n.inputs[0], n.inputs[1]
        if x is None or w is None or len(x.shape) != 4 or len(w.shape) != 4:
            raise Refuse("it needs a 4-D input and 4-D weights")
        o = n.options("Conv2DOptions")
        stride, dilation = (o.StrideH(), o.StrideW()), (o.DilationHFactor(), o.DilationWFactor())
        pads = read_padding(o.Padding(), hw_of(x.shape), (w.shape[1], w.shape[2]), stride, dilation)
        return cls(stride, dilation, pads, n.activation(o.FusedActivationFunction())), (0, 1, 2)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        form = in_eight_bits(node, graph, runtimes, {2: RUNTIMES})
        if "litert" not in runtimes or (len(node.inputs) > 2 and node.inputs[2]):
            return form
        made = node if form is None else form.nodes[0]
        parts = Parts(node, graph, {} if form is None else {t.name: t for t in form.tensors})
        out = graph.outs(node)[0]
        kind = {"int8": np.int32, "int16": np.int64, "float32": np.float32}[out.dtype]
        zeros = parts.const(np.zeros(out.shape[3], kind), bias_quant(node, graph))
        why = "with a bias of zeros: LiteRT wants one" + ("" if form is None else f"; {form.why}")
        return Form((replace(made, inputs=(*made.inputs[:2], zeros)),), tuple(parts.tensors.values()), why)

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
            "DilationHFactor": self.dilation[0],
            "DilationWFactor": self.dilation[1],
            "FusedActivationFunction": TFLITE_CODE[self.activation],
        }
        return TfliteOp("CONV_2D", node.inputs, "Conv2DOptions", fields, 3)

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        x, w = xs[0], xs[1]
        bias = xs[2] if len(xs) > 2 else None
        groups = x.shape[3] // w.shape[3]
        y = F.conv2d(torch_nchw(x, self.pads), w.permute(0, 3, 1, 2), bias, self.stride, 0, self.dilation, groups)
        return torch_activation(y.permute(0, 2, 3, 1), self.activation)

    def padded(self, pads: Pads, fill: float, x: Tensor) -> Op | None:
        return replace(self, pads=added(self.pads, pads)) if fill == 0 else None

    def bare(self) -> tuple[Op, Pads, float] | None:
        return (replace(self, pads=NO_PADS), self.pads, 0.0) if any(self.pads) else None

    def adds_alike(self, values: Array, ins: Ins) -> Array:
        w = need(ins[1])
        zero, kernel = need(ins[0]).zero_point, (w.shape[1], w.shape[2])
        return alike_everywhere(patches(values, kernel, self.stride, self.dilation, self.pads, zero))

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        """A group stays or goes as a whole: kernels want groups of one size."""
        in_c, out_c, groups = channels(need(ins[0])), channels(outs[0]), need(ins[0]).shape[3] // need(ins[1]).shape[3]
        reads, makes = np.arange(in_c), np.arange(out_c)
        in_group, out_group = reads // (in_c // groups), makes // (out_c // groups)
        return [Link(0, 0, reads, in_group * (out_c // groups)), Link(0, 0, out_group * (in_c // groups), makes)]

    def windows(self, x: Array, shape: Sequence[int], most: int) -> Array:
        rows = rows_of(patches(x, (shape[1], shape[2]), self.stride, self.dilation, self.pads, 0.0), most)
        groups = rows.shape[2] // shape[3]
        split = rows.reshape(len(rows), rows.shape[1], groups, -1).transpose(2, 0, 1, 3)
        return np.asarray(split.reshape(groups, len(rows), -1))

    def grouped(self, weights: Array, in_c: int) -> Array:
        groups = in_c // weights.shape[3]
        return np.asarray(weights.reshape(groups, weights.shape[0] // groups, -1))

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        x, w = need(ins[0]), need(ins[1])
        if not w.is_const:
            return ties.blocked(ins, outs)
        read, made = ties.along(x, 3), ties.new(w.shape[0])
        per_in, groups = w.shape[3], x.shape[3] // w.shape[3]
        per_out = w.shape[0] // groups
        if groups > per_in:
            # Many small groups, a depthwise layer above all, go whole; large ones lose the same places in each.
            ties.tie(np.repeat(read[::per_in], per_in), read)
            ties.tie(np.repeat(read[::per_in], per_out), made)
        else:
            ties.tie(np.tile(read[:per_in], groups), read)
            ties.tie(np.tile(made[:per_out], groups), made)
            ties.cut(w, 3, read[:per_in], "reads")
        return weighted_channels(ins, outs, self.out_axis, made, ties)
