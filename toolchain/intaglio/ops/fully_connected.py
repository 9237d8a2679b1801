"""FULLY_CONNECTED: rows of the input times a weight matrix, with a fused activation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array
from .activation import TFLITE_CODE, Activation, torch_activation
from .base import Call, Ins, Op, Outs, Refuse, TfliteOp, Types, arr, need
from .conv2d import Conv2D
from .layer import Weighted
from .portable import RUNTIMES, Form, Parts, Runtime, bias_quant, in_eight_bits
from .reshape import Reshape
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

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class FullyConnected(Weighted):
    """inputs: x, weights [out_c][in_c], bias [out_c] (optional); int8 with an int32 bias, int16 with int8
    weights and an int64 bias, or all float32.

    x is taken as rows of in_c values, whatever its rank. Output: [rows][out_c], or with `keep_num_dims` x's shape
    with its last dimension in_c replaced by out_c.
    """

    name: ClassVar[str] = "fully_connected"
    tflite: ClassVar[tuple[str, ...]] = ("FULLY_CONNECTED",)
    activation: Activation = "none"
    keep_num_dims: bool = False

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x, w = need(ins[0]), need(ins[1])
        if len(w.shape) != 2 or x.size % w.shape[1]:
            raise GraphError(w.name, f"weights {w.shape} do not fit an input {x.shape}")
        if len(ins) > 2 and ins[2] is not None and ins[2].shape != (w.shape[0],):
            raise GraphError(ins[2].name, f"a bias of shape {ins[2].shape}", f"({w.shape[0]},)")
        if not self.keep_num_dims:
            return [((x.size // w.shape[1], w.shape[0]), x.dtype)]
        if x.shape[-1:] != w.shape[1:]:
            raise GraphError(w.name, f"weights {w.shape} do not fit the last dimension of {x.shape}")
        return [((*x.shape[:-1], w.shape[0]), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        return weighted_problems(need(ins[0]), need(ins[1]), ins[2] if len(ins) > 2 else None, outs[0], self.out_axis)

    def macs(self, ins: Ins, outs: Outs) -> int:
        w = need(ins[1])
        return macs_of(w, need(ins[0]).size // w.shape[1])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        # Integer products: float64 sums are exact up to 2**53, and BLAS makes them fast.
        acc = self.sums(arr(xs[0]).astype(np.float64) - input_offset(need(ins[0])), arr(xs[1]).astype(np.float64))
        y = output_of(acc, xs[2] if len(xs) > 2 else None, ins, outs[0], self.activation)
        return [y.reshape(outs[0].shape)]

    def sums(self, x: Array, weights: Array) -> Array:
        """Sums of products [rows][out_c] of x, whose zero is 0: no bias, no activation."""
        return np.asarray(x.reshape(-1, weights.shape[1]) @ weights.T)

    def lower(self, node: Node, graph: Graph) -> Call:
        return weighted_call(self.facts(node, graph))

    def facts(self, node: Node, graph: Graph, by_channel: bool = False) -> WeightedLayer:
        ins = graph.ins(node)
        x, w = need(ins[0]), need(ins[1])
        rows, in_c, out_c = x.size // w.shape[1], w.shape[1], w.shape[0]
        if by_channel and rows > 1:
            return self._positions(node, graph, rows)
        one = w.quant is None or w.quant.per_tensor
        sizes = (("rows", rows), ("in_c", in_c), ("out_c", out_c))
        return weighted_layer(node, graph, sizes, self.activation, 1 if one else out_c, stepped=True)

    def _positions(self, node: Node, graph: Graph, rows: int) -> WeightedLayer:
        """Several rows as the positions of a convolution of 1 x 1."""
        w = need(graph.ins(node)[1])
        sizes = (
            ("in_h", 1), ("in_w", rows), ("in_c", w.shape[1]), ("out_h", 1), ("out_w", rows), ("out_c", w.shape[0]),
            ("kernel_h", 1), ("kernel_w", 1), ("group_in_c", w.shape[1]), ("stride_h", 1), ("stride_w", 1),
            ("dilation_h", 1), ("dilation_w", 1), ("pad_top", 0), ("pad_left", 0),
        )  # fmt: skip
        return weighted_layer(
            node, graph, sizes, self.activation, w.shape[0], stem="conv2d", row=w.shape[1], span=w.shape[1]
        )

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        x, w = n.inputs[0], n.inputs[1]
        if x is None or w is None or len(w.shape) != 2 or len(n.outputs) != 1:
            raise Refuse("it needs an input and 2-D weights")
        o = n.options("FullyConnectedOptions")
        if o.WeightsFormat() != 0:
            raise Refuse(f"its weights are in format {o.WeightsFormat()} (shuffled); only the default is supported")
        # Some converters leave the flag out and declare the kept shape; runtimes go by the declared shape.
        keep = bool(o.KeepNumDims()) or (len(x.shape) != 2 and n.outputs[0].shape == (*x.shape[:-1], w.shape[0]))
        return cls(n.activation(o.FusedActivationFunction()), keep), (0, 1, 2)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        """For LiteRT, which rounds the product of two scales to float32, integers go through a CONV_2D of 1 x 1."""
        x, w = (need(t) for t in graph.ins(node)[:2])
        out = graph.outs(node)[0]
        if out.dtype == "float32" or "litert" not in runtimes:
            # TFLM unpacks 4 bits where there is one scale.
            channels = w.quant is not None and not w.quant.per_tensor
            return in_eight_bits(node, graph, runtimes, {4: RUNTIMES[: int(channels)], 2: RUNTIMES})
        if w.data is None or w.quant is None or any(w.quant.zero_point):
            raise Refuse("LiteRT rounds it otherwise, and its weights are computed or have a zero point: no CONV_2D")
        rows, in_c, out_c = x.size // w.shape[1], w.shape[1], w.shape[0]
        parts = Parts(node, graph)
        bits = 8 if w.quant.bits == 2 else w.quant.bits
        weights = parts.const(w.data.reshape(out_c, 1, 1, in_c), replace(w.quant, bits=bits))
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        if not bias:
            kind = np.int32 if out.dtype == "int8" else np.int64
            bias = parts.const(np.zeros(out_c, kind), bias_quant(node, graph))
        flat = parts.add(Reshape((1, 1, rows, in_c)), (x.name,))
        made = parts.add(Conv2D(activation=self.activation), (flat, weights, bias), out)
        parts.add(Reshape(out.shape), (made,))
        return parts.form("a CONV_2D of 1 x 1: LiteRT rounds FULLY_CONNECTED otherwise, by one step, for a few sums")

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        fields = {"FusedActivationFunction": TFLITE_CODE[self.activation], "KeepNumDims": self.keep_num_dims}
        return TfliteOp("FULLY_CONNECTED", node.inputs, "FullyConnectedOptions", fields, 5)

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        x, w = xs[0], xs[1]
        rows = x if self.keep_num_dims else x.reshape(-1, w.shape[1])
        return torch_activation(F.linear(rows, w, xs[2] if len(xs) > 2 else None), self.activation)

    def _mixed(self, weights: Array, in_c: int) -> Array | None:
        return weights.reshape(weights.shape[0], -1, in_c) if weights.shape[1] % in_c == 0 else None

    def unmixed(self, mixed: Array, shape: Sequence[int]) -> Array:
        return mixed.astype(np.int8).reshape(mixed.shape[0], -1)

    def adds_alike(self, values: Array, ins: Ins) -> Array:
        in_c = values.shape[-1]
        rows = values.reshape(-1, need(ins[1]).shape[1] // in_c, in_c)
        return np.asarray((rows == rows[:1]).all(axis=(0, 1)))

    def windows(self, x: Array, shape: Sequence[int], most: int) -> Array:
        return x.reshape(1, -1, shape[1]).astype(np.float64)

    def grouped(self, weights: Array, in_c: int) -> Array:
        return weights[None]

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        x, w = need(ins[0]), need(ins[1])
        if not w.is_const:
            return ties.blocked(ins, outs)
        if self.keep_num_dims and ties.axis(x) != len(x.shape) - 1:
            return [ties.spread(ties.along_any(x), outs[0].shape, ties.axis(x))]  # each channel is a row
        rows = ties.of(x).reshape(-1, w.shape[1])
        ties.tie(rows[0], rows)
        ties.cut(w, 1, rows[0], "reads")
        return weighted_channels(ins, outs, self.out_axis, ties.new(w.shape[0]), ties)
