"""MUL of two tensors that broadcast, with a fused activation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import INT_RANGE, Array, Tensor
from .activation import activation_range, torch_activation
from .base import Call, Ends, Given, Ins, Outs, Refuse, arr, need
from .elementwise import Arithmetic
from .fixed import accumulator_problem, clamp_to, float32_ratio, quantize_multiplier, requantize
from .float32 import float_bounds, is_float, rounded
from .integer import reach
from .portable import Form, Runtime, looked_up

if TYPE_CHECKING:
    from ..graph import Graph, Node

MAX_PAIRS = 1 << 22
"""Pairs of factors of which every product is looked at."""


@dataclass(frozen=True)
class Mul(Arithmetic):
    """inputs: a, b; output: a * b."""

    name: ClassVar[str] = "mul"
    tflite: ClassVar[tuple[str, ...]] = ("MUL",)
    options: ClassVar[str] = "MulOptions"

    def check_int8(self, a: Tensor, b: Tensor, out: Tensor) -> list[str]:
        problem = accumulator_problem(reach(a) * reach(b), [_factor(a, b, out)])
        return [problem] if problem else []

    check_int16 = check_int8

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        if is_float(ins, outs):
            return [rounded(arr(xs[0]).astype(np.float64) * arr(xs[1]), self.activation)]
        a, b, out = need(ins[0]), need(ins[1]), outs[0]
        x, y = (arr(v).astype(np.int64) for v in xs)
        return [self._products(x, y, a, b, out, _factor(a, b, out))]

    def bounds(self, lows: Given, highs: Given, ins: Ins, outs: Outs) -> Ends | None:
        if any(x is None for x in lows):
            return None
        # A product is linear in each factor, so it is lowest and highest in corners, and what follows increases.
        corners = [self.reference([a, b], ins, outs)[0] for a in (lows[0], highs[0]) for b in (lows[1], highs[1])]
        return [np.minimum.reduce(corners)], [np.maximum.reduce(corners)]

    def reach(self, widths: Sequence[float], ins: Ins) -> float:
        return widths[0] * widths[1]

    def lower(self, node: Node, graph: Graph) -> Call:
        a, b = (need(t) for t in graph.ins(node))
        out = graph.outs(node)[0]
        if is_float([a, b], [out]):
            return self.call(node, graph, "mul", float_bounds(self.activation))
        low, high = activation_range(self.activation, out)
        multiplier, shift = _factor(a, b, out)
        if a.dtype == "int16":
            factor = (("multiplier", multiplier), ("shift", shift))
            return self.call(node, graph, "mul", (*factor, ("out_min", low), ("out_max", high)))
        fields = (
            ("a_offset", -a.zero_point), ("b_offset", -b.zero_point), ("multiplier", multiplier), ("shift", shift),
            ("out_offset", out.zero_point), ("out_min", low), ("out_max", high),
        )  # fmt: skip
        return self.call(node, graph, "mul", fields)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        """LiteRT multiplies the scales in float32. Where that changes a product, a factor that is one constant makes an
        int8 MUL a table; else there is no form."""
        a, b = (need(t) for t in graph.ins(node))
        out = graph.outs(node)[0]
        if out.dtype == "float32" or "litert" not in runtimes:
            return None
        product = float(np.float32(a.scale) * np.float32(b.scale))
        exact, litert = _factor(a, b, out), quantize_multiplier(float32_ratio(product, out.scale))
        left, right = _possible(a), _possible(b)
        if exact == litert:
            return None
        if left.size * right.size > MAX_PAIRS:
            raise Refuse("LiteRT multiplies its scales in float32, and rounds some products otherwise")
        pairs = [self._products(left[:, None], right, a, b, out, factor) for factor in (exact, litert)]
        differing = int((pairs[0] != pairs[1]).sum())
        if not differing:
            return None
        why = f"LiteRT rounds {differing} of {pairs[0].size} products otherwise"
        for x, one, table in ((a, right.size, pairs[0][:, 0]), (b, left.size, pairs[0][0])):
            if one == 1 and x.data is None and x.dtype == "int8" and out.shape == x.shape:
                return looked_up(replace(node, inputs=(x.name,)), graph, table, f"a GATHER from a table: {why}")
        raise Refuse(why)

    def _products(self, x: Array, y: Array, a: Tensor, b: Tensor, out: Tensor, factor: tuple[int, int]) -> Array:
        found = requantize((x - a.zero_point) * (y - b.zero_point), *factor) + out.zero_point
        return clamp_to(found, *activation_range(self.activation, out), out.dtype)

    def forward(self, *xs: Any) -> Any:
        return torch_activation(xs[0] * xs[1], self.activation)


def _possible(t: Tensor) -> Array:
    """The numbers that a tensor can hold, int64: of a constant those that it holds."""
    low, high = INT_RANGE[t.dtype]
    return np.arange(low, high + 1) if t.data is None else np.unique(t.data).astype(np.int64)


def _factor(a: Tensor, b: Tensor, out: Tensor) -> tuple[int, int]:
    return quantize_multiplier(a.scale * b.scale / out.scale)
