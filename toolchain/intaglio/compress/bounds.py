"""What each element of each int8 tensor can be: the lowest and the highest value over all inputs.

Interval arithmetic with the operators' own integer references, so that it is exact about rounding and clamping. Every
reference here is monotone in each input (or its tables are searched), so the bounds of the result follow from the
bounds of the inputs. An element whose bounds meet is a constant.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..graph import INT_RANGE, Array, Graph, Node, Tensor
from ..ops.addition import Addition
from ..ops.average_pool2d import AveragePool2D
from ..ops.base import need
from ..ops.concatenation import Concatenation
from ..ops.conv2d import Conv2D
from ..ops.conv2d_borders import Conv2DBorders
from ..ops.depthwise_conv2d import DepthwiseConv2D
from ..ops.elementwise import Unary
from ..ops.extremum import Extremum
from ..ops.fully_connected import FullyConnected
from ..ops.max_pool2d import MaxPool2D
from ..ops.mean import Mean
from ..ops.mul import Mul
from ..ops.pack import Pack
from ..ops.pad import Pad
from ..ops.reshape import Reshape
from ..ops.resize_nearest_neighbor import ResizeNearestNeighbor
from ..ops.split import Split
from ..ops.strided_slice import StridedSlice
from ..ops.tile import Tile
from ..ops.transpose import Transpose
from ..ops.transpose_conv import TransposeConv
from ..ops.unpack import Unpack
from ..ops.weighted import output_of

Weighted = Conv2D | DepthwiseConv2D | FullyConnected | TransposeConv
INCREASING = (
    AveragePool2D, Concatenation, Extremum, MaxPool2D, Mean, Pack, Pad, Reshape, ResizeNearestNeighbor, Split,
    StridedSlice, Tile, Transpose, Unpack,
)  # fmt: skip
"""Operators that increase, or stay, in every element of every input."""


class Bounds(NamedTuple):
    """Two int8 arrays of the tensor's shape: every value lies in low..high."""

    low: Array
    high: Array

    @property
    def constant(self) -> Array:
        """bool, of the tensor's shape: where there is one value only."""
        return np.asarray(self.low == self.high)


def bounds(graph: Graph) -> dict[str, Bounds]:
    """The bounds of every int8 tensor of a quantized graph, by name; nothing is known of the inputs and of state."""
    found: dict[str, Bounds] = {}
    for t in graph.tensors.values():
        if t.dtype == "int8" and t.is_const and t.data is not None:
            found[t.name] = Bounds(t.data, t.data)
        elif t.dtype == "int8":
            found[t.name] = anything(t)
    for node in graph.nodes:
        outs = graph.outs(node)
        if outs and all(t.dtype == "int8" for t in outs) and node.inputs[0] in found:
            known = _of_node(node, graph, found)
            if known is not None:
                found |= {t.name: b for t, b in zip(outs, known, strict=True)}
    return found


def anything(t: Tensor) -> Bounds:
    """What is known of a tensor of which nothing is known."""
    low, high = INT_RANGE[t.dtype]
    return Bounds(np.full(t.shape, low, np.int8), np.full(t.shape, high, np.int8))


def bias_of(node: Node, graph: Graph) -> Array | None:
    """The int32 bias of an operator with weights, [..., out_c]; of CONV_2D_BORDERS [out_h][out_w][out_c]."""
    bias = graph.tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    if bias is None or bias.data is None:
        return None
    return node.op.bias_map(bias.data) if isinstance(node.op, Conv2DBorders) else bias.data


def _of_node(node: Node, graph: Graph, found: dict[str, Bounds]) -> list[Bounds] | None:
    op, ins, outs = node.op, graph.ins(node), graph.outs(node)
    if isinstance(op, Weighted):
        return [_of_sums(op, node, graph, found[node.inputs[0]])]
    if isinstance(op, Unary):
        return [_of_table(op, need(ins[0]), outs[0], found[node.inputs[0]])]
    if any(name not in found for name in node.inputs):
        return None
    lows, highs = ([found[n].low for n in node.inputs], [found[n].high for n in node.inputs])
    if isinstance(op, INCREASING):
        low, high = op.reference(lows, ins, outs), op.reference(highs, ins, outs)
        return [Bounds(a, b) for a, b in zip(low, high, strict=True)]
    if isinstance(op, Addition):
        a, b = (lows[1], highs[1]) if op.sign > 0 else (highs[1], lows[1])
        return [Bounds(op.reference([lows[0], a], ins, outs)[0], op.reference([highs[0], b], ins, outs)[0])]
    if isinstance(op, Mul):
        # A product is linear in each factor, so it is lowest and highest in corners, and what follows increases.
        corners = [op.reference([a, b], ins, outs)[0] for a in (lows[0], highs[0]) for b in (lows[1], highs[1])]
        return [Bounds(np.minimum.reduce(corners), np.maximum.reduce(corners))]
    return None


def _of_sums(op: Weighted, node: Node, graph: Graph, x: Bounds) -> Bounds:
    ins, out = graph.ins(node), graph.outs(node)[0]
    weights = need(ins[1])
    if weights.dtype != "int8" or weights.data is None:
        return anything(out)
    w = weights.data.astype(np.float64)
    low, high = (side.astype(np.float64) - need(ins[0]).zero_point for side in x)
    up, down = np.maximum(w, 0), np.minimum(w, 0)
    bias = bias_of(node, graph)
    ends = (op.sums(low, up) + op.sums(high, down), op.sums(high, up) + op.sums(low, down))
    values = [output_of(acc, bias, ins, out, op.activation).reshape(out.shape) for acc in ends]
    return Bounds(values[0], values[1])


def _of_table(op: Unary, x: Tensor, out: Tensor, b: Bounds) -> Bounds:
    """The extremes of the function over each element's range."""
    table = op.values(np.arange(-128, 128, dtype=np.int64), x, out).astype(np.int8)
    low, high = np.empty((256, 256), np.int8), np.empty((256, 256), np.int8)
    for first in range(256):
        low[first, first:] = np.minimum.accumulate(table[first:])
        high[first, first:] = np.maximum.accumulate(table[first:])
    at = b.low.astype(np.int64) + 128, b.high.astype(np.int64) + 128
    return Bounds(low[at], high[at])
