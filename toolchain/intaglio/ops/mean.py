"""MEAN over any dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .base import Buf, Call, Ins, Outs, Struct, arr, need
from .fixed import accumulator_problem, clamp_to, quantize_multiplier, requantize
from .float32 import float_problems, is_float, rounded
from .reduction import Reduction

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Mean(Reduction):
    """inputs: (x,), int8 or float32; output: the mean over `axes`."""

    name: ClassVar[str] = "mean"
    tflite: ClassVar[tuple[str, ...]] = ("MEAN",)

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x, out = need(ins[0]), outs[0]
        if problems := self.loop_problems(x):
            return problems
        if is_float(ins, outs):
            return float_problems(ins, outs)
        if x.dtype != "int8":
            return [f"its input is {x.dtype}; int8 and float32 are supported"]
        for t in (x, out):
            if t.quant is None or not t.quant.per_tensor:
                return [f"{t.name} must have one scale and one zero point"]
        problem = accumulator_problem(self.count(x) * 255, [self.factor(x, out)])
        return [problem] if problem else []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        x, out = need(ins[0]), outs[0]
        if is_float(ins, outs):
            total = np.asarray(arr(xs[0]).sum(axis=self.axes, keepdims=self.keep_dims, dtype=np.float64))
            return [rounded(total / self.divisor(x))]
        total = arr(xs[0]).astype(np.int64).sum(axis=self.axes, keepdims=self.keep_dims) - x.zero_point * self.count(x)
        multiplier, shift = self.factor(x, out)
        return [clamp_to(requantize(total, multiplier, shift) + out.zero_point, -128, 127)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        loops = self.loops(x, "mean")
        if is_float([x], [out]):
            params = Struct("itg_mean_f32_params", (*loops, ("count", float(self.divisor(x)))))
            return Call("mean_f32", "itg_mean_f32", (Buf(x.name), Buf(out.name), params))
        multiplier, shift = self.factor(x, out)
        params = Struct(
            "itg_mean_s8_params",
            (
                *loops,
                ("in_sum_offset", -x.zero_point * self.count(x)), ("out_offset", out.zero_point),
                ("multiplier", multiplier), ("shift", shift),
            ),
        )  # fmt: skip
        return Call("mean", "itg_mean_s8", (Buf(x.name), Buf(out.name), params))

    def divisor(self, x: Tensor) -> int:
        """What the sum is divided by."""
        return self.count(x)

    def factor(self, x: Tensor, out: Tensor) -> tuple[int, int]:
        """in_scale / out_scale / count as TFLM forms it: the quotient of scales first, then an integer division."""
        count = self.count(x)
        multiplier, shift = quantize_multiplier(x.scale / out.scale)
        bits = min(count.bit_length() - 1, 32, 31 + shift)
        return (multiplier << bits) // count, shift - bits

    def forward(self, *xs: Any) -> Any:
        return xs[0].mean(dim=self.axes, keepdim=self.keep_dims) if self.axes else xs[0]
