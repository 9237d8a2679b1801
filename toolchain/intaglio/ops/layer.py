"""What layers are: convolutions and fully connected layers, which have weights, a bias and a fused activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ..graph import Array, Graph, Node
from .base import Ends, Given, Ins, Op, Outs, need
from .links import channels
from .weighted import WeightedLayer, output_of


@dataclass(frozen=True)
class Weighted(Op):
    """inputs: x, weights, bias (optional). An output channel is a sum of products, its bias, and the activation.

    The int8 weights have a scale an output channel (along `out_axis`) or one in all, and no zero point.
    """

    input_names: ClassVar[tuple[str, ...]] = ("x", "weights", "bias")
    optional: ClassVar[int] = 1
    trainable: ClassVar[tuple[int, ...]] = (1, 2)
    parameters: ClassVar[tuple[int, ...]] = (1, 2)
    weighted: ClassVar[bool] = True
    fuses_activation: ClassVar[bool] = True
    homogeneous: ClassVar[bool] = True
    bias_by_place: ClassVar[bool] = False
    """There is a kernel that takes a bias for each place of the output (conv2d_borders.py)."""
    has_windows: ClassVar[bool] = True
    """Its sums are products of a matrix of its inputs with its weights: `windows` and `grouped`."""

    @property
    def layer(self) -> Self:
        return self

    def facts(self, node: Node, graph: Graph, by_channel: bool = False) -> WeightedLayer:
        """What it tells the kernels that compute it. `by_channel`: for those that decode the weights of an output
        channel once, for all positions."""
        raise NotImplementedError

    def reach(self, widths: Sequence[float], ins: Ins) -> float:
        w = need(ins[1])
        others = tuple(d for d in range(len(w.shape)) if d != self.out_axis)
        sums = np.abs(np.asarray(w.data, np.float64)).sum(axis=others)
        bias = np.abs(np.asarray(need(ins[2]).data, np.float64)).max() if len(ins) > 2 and ins[2] is not None else 0.0
        return float(sums.max() * widths[0] + bias)

    def sums(self, x: Array, weights: Array) -> Array:
        """Sums of products [..., out_c] of x, whose zero is 0: no bias, no activation."""
        raise NotImplementedError

    def bias_map(self, bias: Array) -> Array:
        """The bias of each output, [..., out_c]; its leading dimensions broadcast."""
        return bias

    def bounds(self, lows: Given, highs: Given, ins: Ins, outs: Outs) -> Ends | None:
        weights, zero, (out, *_) = need(ins[1]), need(ins[0]).zero_point, outs
        if weights.dtype != "int8" or weights.data is None:
            return None
        w = weights.data.astype(np.float64)
        low, high = (np.asarray(side[0], np.float64) - zero for side in (lows, highs))
        up, down = np.maximum(w, 0), np.minimum(w, 0)
        bias = ins[2].data if len(ins) > 2 and ins[2] is not None else None
        bias = None if bias is None else self.bias_map(bias)
        ends = (self.sums(low, up) + self.sums(high, down), self.sums(high, up) + self.sums(low, down))
        values = [output_of(acc, bias, ins, out, self.clamp).reshape(out.shape) for acc in ends]
        return values[:1], values[1:]

    # ---- channels (compress/lossless.py) --------------------------------------------------------------------------

    def mixing(self, ins: Ins) -> Array | None:
        """The int8 weights, int64 [out_c][taps][in_c], where each output channel is a sum over all channels of x; None
        otherwise. A FULLY_CONNECTED that reads a whole image as one row has a tap a pixel."""
        x, w = need(ins[0]), need(ins[1])
        if x.dtype != "int8" or w.dtype != "int8" or w.data is None:
            return None
        return self._mixed(w.data.astype(np.int64), channels(x))

    def _mixed(self, weights: Array, in_c: int) -> Array | None:
        out_c, last = weights.shape[0], weights.shape[-1]
        return weights.reshape(out_c, -1, last) if last == in_c else None

    def unmixed(self, mixed: Array, shape: Sequence[int]) -> Array:
        """The inverse of `mixing`: int8 weights of `shape`, but for their channels."""
        return mixed.astype(np.int8).reshape(mixed.shape[0], *shape[1:-1], mixed.shape[2])

    def adds_alike(self, values: Array, ins: Ins) -> Array:
        """bool [in_c]: whether a channel of x that has these constant `values` adds the same to every output."""
        # What is dropped at the border makes all but a real 0 depend on the place.
        return np.asarray((values == need(ins[0]).zero_point).all(axis=tuple(range(values.ndim - 1))))

    def plain(self) -> Op:
        """The same with a bias of one number an output channel."""
        return self

    # ---- rounding (quantize/learn_rounding.py) --------------------------------------------------------------------

    def windows(self, x: Array, shape: Sequence[int], most: int) -> Array:
        """What each sum is made of, float64 [groups][rows][k], for weights of `shape`; rows are places of the output,
        of many about `most`, evenly spread."""
        raise NotImplementedError

    def grouped(self, weights: Array, in_c: int) -> Array:
        """Weights as [groups][out][k], in the order of `windows`."""
        raise NotImplementedError

    def ungrouped(self, found: Array, shape: Sequence[int]) -> Array:
        """The inverse of `grouped`."""
        return found.reshape(shape)
