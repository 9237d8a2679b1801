"""MEAN over any dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import INT_RANGE, Array, Tensor
from .base import Buf, Call, Ins, Outs, Struct, arr, need
from .fixed import accumulator_problem, clamp_to, quantize_multiplier, requantize
from .float32 import float_problems, is_float, rounded
from .integer import integer_problems, kernel, reach
from .links import Link, each
from .reduction import Reduction

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Mean(Reduction):
    """inputs: (x,), int8 or float32; output: the mean over `axes`."""

    name: ClassVar[str] = "mean"
    tflite: ClassVar[tuple[str, ...]] = ("MEAN",)
    homogeneous: ClassVar[bool] = True

    @property
    def stays_in_range(self) -> bool:
        return True

    @property
    def increasing(self) -> bool:
        return True

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x, out = need(ins[0]), outs[0]
        if problems := self.loop_problems(x):
            return problems
        if is_float(ins, outs):
            return float_problems(ins, outs)
        problems = integer_problems(ins, outs)
        if problems:
            return problems
        problem = accumulator_problem(self.count(x) * reach(x), [self.factor(x, out)])
        return [problem] if problem else []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        x, out = need(ins[0]), outs[0]
        if is_float(ins, outs):
            total = np.asarray(arr(xs[0]).sum(axis=self.axes, keepdims=self.keep_dims, dtype=np.float64))
            return [rounded(total / self.divisor(x))]
        total = arr(xs[0]).astype(np.int64).sum(axis=self.axes, keepdims=self.keep_dims) - x.zero_point * self.count(x)
        multiplier, shift = self.factor(x, out)
        mean = requantize(total, multiplier, shift) + out.zero_point
        return [clamp_to(mean, *INT_RANGE[out.dtype], out.dtype)]

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return [each(outs[0])] if len(need(ins[0]).shape) - 1 not in self.axes else None

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        loops = self.loops(x, "mean")
        if is_float([x], [out]):
            params = Struct("itg_mean_f32_params", (*loops, ("count", float(self.divisor(x)))))
            return Call("mean_f32", "itg_mean_f32", (Buf(x.name), Buf(out.name), params))
        multiplier, shift = self.factor(x, out)
        factor = (("multiplier", multiplier), ("shift", shift))
        offsets = (("in_sum_offset", -x.zero_point * self.count(x)), ("out_offset", out.zero_point))
        file, function = kernel("mean", x)
        params = Struct(f"{function}_params", (*loops, *(offsets if x.dtype == "int8" else ()), *factor))
        return Call(file, function, (Buf(x.name), Buf(out.name), params))

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
