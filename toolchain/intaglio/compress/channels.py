"""Channels and what they have to do with each other. A channel is one index along the last axis of a tensor.

Operators come in two kinds. One mixes: each output channel is a weighted sum of all input channels (`mixing`), and
either side can lose channels on its own. The other links: output channels belong to input channels and stay or go
with them (`links`); what cannot be told apart is linked altogether.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..graph import Array, Graph, Node, Tensor
from ..ops.base import need
from ..ops.concatenation import Concatenation
from ..ops.conv2d import Conv2D
from ..ops.depthwise_conv2d import DepthwiseConv2D
from ..ops.elementwise import Binary, Unary
from ..ops.fully_connected import FullyConnected
from ..ops.mean import Mean
from ..ops.pad import Pad
from ..ops.pool import Pool2D
from ..ops.reshape import Reshape
from ..ops.resize_nearest_neighbor import ResizeNearestNeighbor
from ..ops.split import Split
from ..ops.strided_slice import ALL, StridedSlice
from ..ops.transpose import Transpose
from ..ops.transpose_conv import TransposeConv


def channels(t: Tensor) -> int:
    """How many: the last dimension, 1 for a scalar."""
    return t.shape[-1] if t.shape else 1


# ---- operators that mix -----------------------------------------------------------------------------------------


def mixing(node: Node, graph: Graph) -> Array | None:
    """The weights of an int8 operator that mixes channels, int64 [out_c][taps][in_c]; None for all others.

    in_c is the channels of x. A FULLY_CONNECTED that reads a whole image as one row has a tap a pixel.
    """
    ins = graph.ins(node)
    if not isinstance(node.op, Conv2D | DepthwiseConv2D | FullyConnected | TransposeConv):
        return None
    x, w = need(ins[0]), need(ins[1])
    if x.dtype != "int8" or w.dtype != "int8" or w.data is None:
        return None
    data = w.data.astype(np.int64)
    if isinstance(node.op, DepthwiseConv2D):
        # The filters of a single channel: a convolution in all but the order of its weights.
        return np.moveaxis(data.reshape(-1, w.shape[3], 1), 1, 0) if channels(x) == 1 else None
    per_row = w.shape[-1]
    if isinstance(node.op, FullyConnected):
        return data.reshape(w.shape[0], -1, channels(x)) if per_row % channels(x) == 0 else None
    return data.reshape(w.shape[0], -1, per_row) if per_row == channels(x) else None


def like_weights(node: Node, w: Tensor, mixed: Array) -> Array:
    """The inverse of `mixing`: int8 weights in the operator's own layout, from [out_c][taps][in_c]."""
    out_c = mixed.shape[0]
    data = mixed.astype(np.int8)
    if isinstance(node.op, DepthwiseConv2D):
        return np.moveaxis(data, 0, 1).reshape(*w.shape[:3], out_c)
    if isinstance(node.op, FullyConnected):
        return data.reshape(out_c, -1)
    return data.reshape(out_c, w.shape[1], w.shape[2], mixed.shape[2])


# ---- operators that link ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Link:
    """Channel ins[i] of input number `input` and channel outs[i] of output number `output` stay or go together."""

    input: int
    output: int
    ins: Array
    outs: Array


def links(node: Node, graph: Graph) -> list[Link] | None:
    """How the channels of a node that does not mix belong together; None where they cannot be told apart.

    An input with a single channel for all of an output's (a broadcast), weights and biases are in no Link.
    """
    op, ins, outs = node.op, graph.ins(node), graph.outs(node)
    if not outs or not ins or ins[0] is None or any(not t.shape for t in (*ins, *outs) if t is not None):
        return None
    n = channels(outs[0])
    every = np.arange(n)
    if isinstance(op, DepthwiseConv2D):
        return [Link(0, 0, every // (n // channels(ins[0])), every)]
    if isinstance(op, Conv2D):
        return _grouped(channels(ins[0]), n, channels(ins[0]) // need(ins[1]).shape[3])
    if isinstance(op, Binary):
        return [Link(k, 0, every, every) for k, t in enumerate(ins) if channels(need(t)) == n]
    if isinstance(op, Concatenation | Split):
        return _pieces(op, [need(t) for t in ins], outs)
    if isinstance(op, Reshape):
        return _reshaped(channels(ins[0]), n)
    return [Link(0, 0, every, every)] if _one_to_one(node, ins[0]) else None


def _one_to_one(node: Node, x: Tensor) -> bool:
    op, last = node.op, len(x.shape) - 1
    if isinstance(op, Pad):
        return op.pads[last] == (0, 0)
    if isinstance(op, Transpose):
        return op.perm[last] == last
    if isinstance(op, Mean):
        return last not in op.axes
    if isinstance(op, StridedSlice):
        return op.size[last] == ALL and last not in op.shrink
    return isinstance(op, Unary | Pool2D | ResizeNearestNeighbor)


def _grouped(in_c: int, out_c: int, groups: int) -> list[Link]:
    """A group stays or goes as a whole: kernels want groups of one size."""
    ins, outs = np.arange(in_c), np.arange(out_c)
    in_group, out_group = ins // (in_c // groups), outs // (out_c // groups)
    return [
        Link(0, 0, ins, in_group * (out_c // groups)),
        Link(0, 0, out_group * (in_c // groups), outs),
    ]


def _pieces(op: Concatenation | Split, ins: Sequence[Tensor], outs: Sequence[Tensor]) -> list[Link]:
    joined = isinstance(op, Concatenation)
    parts, whole = (ins, outs[0]) if joined else (outs, ins[0])
    found: list[Link] = []
    start = 0
    for k, t in enumerate(parts):
        every = np.arange(channels(t))
        there = every + start if op.axis == len(whole.shape) - 1 else every
        found.append(Link(k, 0, every, there) if joined else Link(0, k, there, every))
        start += channels(t)
    return found


def _reshaped(before: int, after: int) -> list[Link] | None:
    """Dimensions that are merged with the last one, or split off from it, repeat its channels."""
    if after % before == 0:
        every = np.arange(after)
        return [Link(0, 0, every % before, every)]
    if before % after == 0:
        every = np.arange(before)
        return [Link(0, 0, every, every % after)]
    return None


# ---- all channels of a graph ------------------------------------------------------------------------------------


class Channels:
    """The channels of all tensors that carry activations, numbered, and the sets in which they stay or go."""

    def __init__(self, graph: Graph) -> None:
        self.start: dict[str, int] = {}
        total = 0
        for t in graph.tensors.values():
            self.start[t.name] = total
            total += channels(t)
        self.sizes = {t.name: channels(t) for t in graph.tensors.values()}
        self.group = np.arange(total)
        """The least number among the channels that stay or go with each."""
        for node in graph.nodes:
            self._join(node, graph)

    def of(self, name: str) -> Array:
        """The set of each channel of a tensor."""
        return self.group[self.start[name] : self.start[name] + self.sizes[name]]

    def _join(self, node: Node, graph: Graph) -> None:
        if mixing(node, graph) is not None:
            return
        found = links(node, graph)
        if found is None:
            self.merge(np.concatenate([self._numbers(n) for n in (*node.inputs, *node.outputs) if n]))
            return
        for link in found:
            a = self._numbers(node.inputs[link.input])[link.ins]
            b = self._numbers(node.outputs[link.output])[link.outs]
            self.merge(a, b)

    def _numbers(self, name: str) -> Array:
        return np.arange(self.start[name], self.start[name] + self.sizes[name])

    def merge(self, a: Array, b: Array | None = None) -> None:
        """Make one set of each a[i] and b[i], or of all of a."""
        b = np.broadcast_to(a[:1], a.shape) if b is None else b
        while True:
            ga, gb = self.group[a], self.group[b]
            low = np.minimum(ga, gb)
            if np.array_equal(ga, gb):
                return
            # Each set takes the lowest name it is joined with; names are resolved to the end of their chain.
            np.minimum.at(self.group, ga, low)
            np.minimum.at(self.group, gb, low)
            while True:
                further = self.group[self.group]
                if np.array_equal(further, self.group):
                    break
                self.group = further
