"""SQUARED_DIFFERENCE of two tensors that broadcast: (a - b) squared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .base import Call, Ins, Outs, TfliteOp, arr, need
from .elementwise import Binary
from .fixed import accumulator_problem, clamp_to, quantize_multiplier, requantize
from .float32 import is_float, rounded

if TYPE_CHECKING:
    from ..graph import Graph, Node

HEADROOM = 7
"""Bits by which inputs are shifted left before they are scaled: ITG_SQUARED_DIFFERENCE_HEADROOM in the kernel."""


@dataclass(frozen=True)
class SquaredDifference(Binary):
    """inputs: a, b, int8 or float32; output: of the same dtype. In int8 both are brought to a common scale first."""

    name: ClassVar[str] = "squared_difference"
    tflite: ClassVar[tuple[str, ...]] = ("SQUARED_DIFFERENCE",)

    def check_int8(self, a: Tensor, b: Tensor, out: Tensor) -> list[str]:
        problem = accumulator_problem((255 << HEADROOM) ** 2, [_factors(a, b, out)[2]])
        return [problem] if problem else []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        if is_float(ins, outs):
            return [rounded(np.square(arr(xs[0]).astype(np.float64) - arr(xs[1])))]
        a, b, out = need(ins[0]), need(ins[1]), outs[0]
        fa, fb, fy = _factors(a, b, out)
        left = requantize((arr(xs[0]).astype(np.int64) - a.zero_point) << HEADROOM, *fa)
        right = requantize((arr(xs[1]).astype(np.int64) - b.zero_point) << HEADROOM, *fb)
        return [clamp_to(requantize((left - right) ** 2, *fy) + out.zero_point, -128, 127)]

    def reach(self, widths: Sequence[float], ins: Ins) -> float:
        return max(widths) ** 2

    def lower(self, node: Node, graph: Graph) -> Call:
        a, b = (need(t) for t in graph.ins(node))
        out = graph.outs(node)[0]
        if is_float([a, b], [out]):
            return self.call(node, graph, "squared_difference", ())
        (ma, sa), (mb, sb), (my, sy) = _factors(a, b, out)
        fields = (
            ("a_offset", -a.zero_point), ("a_multiplier", ma), ("a_shift", sa),
            ("b_offset", -b.zero_point), ("b_multiplier", mb), ("b_shift", sb),
            ("out_multiplier", my), ("out_shift", sy), ("out_offset", out.zero_point),
        )  # fmt: skip
        return self.call(node, graph, "squared_difference", fields)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("SQUARED_DIFFERENCE", node.inputs, "SquaredDifferenceOptions", {}, 2)

    def forward(self, *xs: Any) -> Any:
        return (xs[0] - xs[1]).square()


def _factors(a: Tensor, b: Tensor, out: Tensor) -> list[tuple[int, int]]:
    """(multiplier, shift) for a, for b and for the square."""
    twice = 2 * max(a.scale, b.scale)
    square = twice * twice / ((1 << 2 * HEADROOM) * out.scale)
    return [quantize_multiplier(r) for r in (a.scale / twice, b.scale / twice, square)]
