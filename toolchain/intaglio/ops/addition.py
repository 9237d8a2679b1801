"""What ADD and SUB share: both inputs brought to a common scale with bits to spare, then the sum rescaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .activation import activation_range
from .base import Call, Ends, Given, Ins, Outs, arr, need
from .elementwise import Arithmetic
from .fixed import clamp_to, quantize_multiplier, requantize
from .float32 import float_bounds, is_float, rounded

if TYPE_CHECKING:
    from ..graph import Graph, Node

HEADROOM = {"int8": 20, "int16": 15}
"""Bits by which inputs are shifted left before they are scaled: ITG_ADD_HEADROOM in add.h, and in add_s16.h."""


@dataclass(frozen=True)
class Addition(Arithmetic):
    """a + sign * b. In integers, inputs are scaled by scale / (2 * the larger scale), at most a half, and the sum by
    what is left."""

    sign: ClassVar[int] = 1

    def check_int8(self, a: Tensor, b: Tensor, out: Tensor) -> list[str]:
        # TFLM aborts unless the factors are below 1; those of the inputs are at most a half.
        if _factors(a, b, out)[2][1] > 0:
            return [f"its output scale {out.scale} is too far from its inputs' scales"]
        return []

    check_int16 = check_int8

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        if is_float(ins, outs):
            return [rounded(arr(xs[0]).astype(np.float64) + self.sign * arr(xs[1]), self.activation)]
        a, b, out = need(ins[0]), need(ins[1]), outs[0]
        fa, fb, fy = _factors(a, b, out)
        headroom = HEADROOM[a.dtype]
        left = requantize((arr(xs[0]).astype(np.int64) - a.zero_point) << headroom, *fa)
        right = requantize((arr(xs[1]).astype(np.int64) - b.zero_point) << headroom, *fb)
        y = requantize(left + self.sign * right, *fy) + out.zero_point
        return [clamp_to(y, *activation_range(self.activation, out), out.dtype)]

    def bounds(self, lows: Given, highs: Given, ins: Ins, outs: Outs) -> Ends | None:
        if any(x is None for x in lows):
            return None
        a, b = (lows[1], highs[1]) if self.sign > 0 else (highs[1], lows[1])
        return self.reference([lows[0], a], ins, outs), self.reference([highs[0], b], ins, outs)

    def lower(self, node: Node, graph: Graph) -> Call:
        a, b = (need(t) for t in graph.ins(node))
        out = graph.outs(node)[0]
        if is_float([a, b], [out]):
            return self.call(node, graph, "add", (("sign_b", float(self.sign)), *float_bounds(self.activation)))
        low, high = activation_range(self.activation, out)
        (ma, sa), (mb, sb), (my, sy) = _factors(a, b, out)
        if a.dtype == "int16":
            factors = (("a_multiplier", ma), ("a_shift", sa), ("b_multiplier", mb), ("b_shift", sb),
                       ("out_multiplier", my), ("out_shift", sy))  # fmt: skip
            return self.call(node, graph, "add", (("sign_b", self.sign), *factors, ("out_min", low), ("out_max", high)))
        fields = (
            ("sign_b", self.sign),
            ("a_offset", -a.zero_point), ("a_multiplier", ma), ("a_shift", sa),
            ("b_offset", -b.zero_point), ("b_multiplier", mb), ("b_shift", sb),
            ("out_multiplier", my), ("out_shift", sy),
            ("out_offset", out.zero_point), ("out_min", low), ("out_max", high),
        )  # fmt: skip
        return self.call(node, graph, "add", fields)


def _factors(a: Tensor, b: Tensor, out: Tensor) -> list[tuple[int, int]]:
    """(multiplier, shift) for a, for b and for their sum."""
    twice = 2 * max(a.scale, b.scale)
    back = twice / ((1 << HEADROOM[a.dtype]) * out.scale)
    return [quantize_multiplier(r) for r in (a.scale / twice, b.scale / twice, back)]
