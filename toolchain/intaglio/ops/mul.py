"""MUL of two tensors that broadcast, with a fused activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .activation import activation_range, torch_activation
from .base import Call, Ins, Outs, arr, need
from .elementwise import Arithmetic
from .fixed import accumulator_problem, clamp_to, quantize_multiplier, requantize
from .float32 import float_bounds, is_float, rounded
from .integer import reach

if TYPE_CHECKING:
    from ..graph import Graph, Node


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
        product = (arr(xs[0]).astype(np.int64) - a.zero_point) * (arr(xs[1]).astype(np.int64) - b.zero_point)
        y = requantize(product, *_factor(a, b, out)) + out.zero_point
        return [clamp_to(y, *activation_range(self.activation, out), out.dtype)]

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

    def forward(self, *xs: Any) -> Any:
        return torch_activation(xs[0] * xs[1], self.activation)


def _factor(a: Tensor, b: Tensor, out: Tensor) -> tuple[int, int]:
    return quantize_multiplier(a.scale * b.scale / out.scale)
