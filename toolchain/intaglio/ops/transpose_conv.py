"""TRANSPOSE_CONV: the transpose of a 2-D convolution, which spreads each input pixel over a window of the output."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array
from .activation import TFLITE_CODE, Activation, torch_activation
from .base import Call, Ins, Op, Outs, Refuse, TfliteOp, Types, arr, need
from .layer import Weighted
from .movement import tensor_input
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
from .window import MAX_SIDE, Pair, hw_of, read_padding, same_pads

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class TransposeConv(Weighted):
    """inputs: x [1][h][w][in_c], weights [out_c][kh][kw][in_c], bias [out_c] (optional); int8 with an
    int32 bias, int16 with int8 weights and an int64 bias, or all float32.

    Input pixel (y, x) adds to the rows from y * stride - cut on, and so to the columns. Output: [1][*size][out_c]; what
    falls outside is dropped, and what nothing reaches holds the bias.
    """

    name: ClassVar[str] = "transpose_conv"
    tflite: ClassVar[tuple[str, ...]] = ("TRANSPOSE_CONV",)
    homogeneous: ClassVar[bool] = False  # equalization leaves it alone
    has_windows: ClassVar[bool] = False
    size: Pair = (1, 1)
    stride: Pair = (1, 1)
    cut: Pair = (0, 0)
    activation: Activation = "none"

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x, w = need(ins[0]), need(ins[1])
        hw_of(x.shape)
        if len(w.shape) != 4 or w.shape[3] != x.shape[3]:
            raise GraphError(w.name, f"weights {w.shape} do not fit an input {x.shape}")
        if len(ins) > 2 and ins[2] is not None and ins[2].shape != (w.shape[0],):
            raise GraphError(ins[2].name, f"a bias of shape {ins[2].shape}", f"({w.shape[0]},)")
        positive = (*self.size, *self.stride, w.shape[1], w.shape[2])
        if any(not 1 <= v <= MAX_SIDE for v in positive) or any(not 0 <= c <= MAX_SIDE for c in self.cut):
            raise GraphError(x.name, f"size {self.size}, stride {self.stride}, cut {self.cut}", f"up to {MAX_SIDE}")
        return [((x.shape[0], *self.size, w.shape[0]), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if x.shape[0] != 1:
            return [f"its batch is {x.shape[0]}; 1 is supported"]
        return weighted_problems(x, need(ins[1]), ins[2] if len(ins) > 2 else None, outs[0], self.out_axis)

    def macs(self, ins: Ins, outs: Outs) -> int:
        """Of all products, those included that fall outside the output."""
        x = need(ins[0])
        return macs_of(need(ins[1]), x.shape[1] * x.shape[2])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        # float64 holds these integer sums exactly, and BLAS makes them fast.
        acc = self.sums(arr(xs[0]).astype(np.float64) - input_offset(need(ins[0])), arr(xs[1]).astype(np.float64))
        return [output_of(acc, xs[2] if len(xs) > 2 else None, ins, outs[0], self.activation)]

    def sums(self, x: Array, weights: Array) -> Array:
        """Sums of products [n][out_h][out_w][out_c] of x [n][h][w][in_c], whose zero is 0: no bias, no activation."""
        (kh, kw), (sh, sw) = weights.shape[1:3], self.stride
        n, h, wd = x.shape[:3]
        reach = tuple((d - 1) * s + k for d, s, k in zip((h, wd), (sh, sw), (kh, kw), strict=True))
        far = tuple(max(r, c + o) for r, c, o in zip(reach, self.cut, self.size, strict=True))
        acc = np.zeros((n, *far, weights.shape[0]))
        for ky in range(kh):
            for kx in range(kw):
                acc[:, ky : ky + h * sh : sh, kx : kx + wd * sw : sw][:, :h, :wd] += x @ weights[:, ky, kx].T
        return acc[:, self.cut[0] : self.cut[0] + self.size[0], self.cut[1] : self.cut[1] + self.size[1]]

    def lower(self, node: Node, graph: Graph) -> Call:
        return weighted_call(self.facts(node, graph))

    def facts(self, node: Node, graph: Graph, by_channel: bool = False) -> WeightedLayer:
        ins, out = graph.ins(node), graph.outs(node)[0]
        x, w = need(ins[0]), need(ins[1])
        sizes = (
            ("in_h", x.shape[1]), ("in_w", x.shape[2]), ("in_c", x.shape[3]),
            ("out_h", out.shape[1]), ("out_w", out.shape[2]), ("out_c", out.shape[3]),
            ("kernel_h", w.shape[1]), ("kernel_w", w.shape[2]),
            ("stride_h", self.stride[0]), ("stride_w", self.stride[1]),
            ("cut_top", self.cut[0]), ("cut_left", self.cut[1]),
        )  # fmt: skip
        return weighted_layer(node, graph, sizes, self.activation, w.shape[0], row=w.size // w.shape[0])

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        size, w, x = n.ints(0), tensor_input(n, 1), tensor_input(n, 2)
        if len(size) != 4 or len(x.shape) != 4 or len(w.shape) != 4:
            raise Refuse("it needs a 4-D input, 4-D weights and four output sizes")
        o = n.options("TransposeConvOptions")
        hw, stride = (size[1], size[2]), (o.StrideH(), o.StrideW())
        # TFLite pads the convolution that this is the transpose of: from the output to the input.
        pads = read_padding(o.Padding(), hw, (w.shape[1], w.shape[2]), stride)
        return cls(hw, stride, (pads[0], pads[2]), n.activation(o.FusedActivationFunction())), (2, 1, 3)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        x, w = (need(t) for t in graph.ins(node)[:2])
        same = self.cut != (0, 0)
        for n, out, k, s in zip(x.shape[1:3], self.size, w.shape[1:3], self.stride, strict=True):
            found = (out + s - 1) // s if same else (out + s - k) // s
            if "litert" in runtimes and found != n:
                raise Refuse(f"LiteRT wants an input of {found} where {n} make its {out}; give it no output padding")
        return in_eight_bits(node, graph, runtimes, {4: RUNTIMES, 2: RUNTIMES})

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        w, out = need(graph.ins(node)[1]), graph.outs(node)[0]
        same = same_pads(self.size, (w.shape[1], w.shape[2]), self.stride, (1, 1))
        if self.cut not in ((same[0], same[2]), (0, 0)):
            raise Refuse(f"its result is cut by {self.cut}, which is neither SAME nor VALID of TFLite")
        fields = {
            "Padding": 1 if self.cut == (0, 0) else 0,
            "StrideH": self.stride[0],
            "StrideW": self.stride[1],
            "FusedActivationFunction": TFLITE_CODE[self.activation],
        }
        shape = np.array(out.shape, np.int32)
        inputs: tuple[str | Array, ...] = (shape, node.inputs[1], node.inputs[0], *node.inputs[2:])
        version = 4 if self.activation != "none" else 3
        return TfliteOp("TRANSPOSE_CONV", inputs, "TransposeConvOptions", fields, version)

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        y = F.conv_transpose2d(xs[0].permute(0, 3, 1, 2), xs[1].permute(3, 0, 1, 2), None, self.stride)
        bottom, right = (c + s - n for c, s, n in zip(self.cut, self.size, y.shape[2:], strict=True))
        # Negative padding cuts off.
        y = F.pad(y, (-self.cut[1], right, -self.cut[0], bottom)).permute(0, 2, 3, 1)
        return torch_activation(y if len(xs) < 3 or xs[2] is None else y + xs[2], self.activation)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        x, w = need(ins[0]), need(ins[1])
        if not w.is_const:
            return ties.blocked(ins, outs)
        ties.cut(w, 3, ties.along(x, 3), "reads")
        return weighted_channels(ins, outs, self.out_axis, ties.new(w.shape[0]), ties)
