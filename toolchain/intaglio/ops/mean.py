"""MEAN over any dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import INT_RANGE, Array, Tensor
from .base import Buf, Call, Ins, Op, Outs, Refuse, Struct, TfliteOp, Types, arr, need
from .fixed import accumulator_problem, clamp_to, quantize_multiplier, requantize
from .float32 import float_problems, is_float, rounded
from .integer import integer_problems, kernel, reach
from .movement import axis_index, steps, tensor_input

if TYPE_CHECKING:
    from ..frontends.tflite import TfliteNode
    from ..graph import Graph, Node

LOOPS = 3
"""ITG_MEAN_RANK in mean.h: groups of neighbouring dimensions that are averaged, and groups that stay."""


@dataclass(frozen=True)
class Mean(Op):
    """inputs: (x,). `axes` are distinct, counted from the front and in order; with `keep_dims` each becomes 1."""

    name: ClassVar[str] = "mean"
    tflite: ClassVar[tuple[str, ...]] = ("MEAN",)
    axes: tuple[int, ...] = ()
    keep_dims: bool = False

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        rank = len(x.shape)
        if list(self.axes) != sorted(set(self.axes)) or not all(0 <= a < rank for a in self.axes):
            raise GraphError(x.name, f"a mean over dimensions {self.axes} of {rank}")
        if self.keep_dims:
            return [(tuple(1 if d in self.axes else n for d, n in enumerate(x.shape)), x.dtype)]
        return [(tuple(n for d, n in enumerate(x.shape) if d not in self.axes), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x, out = need(ins[0]), outs[0]
        if any(len(g) > LOOPS for g in self._groups(x)):
            return [f"it averages {self.axes} of {len(x.shape)} dimensions, which are too many groups"]
        if is_float(ins, outs):
            return float_problems(ins, outs)
        problems = integer_problems(ins, outs)
        if problems:
            return problems
        problem = accumulator_problem(self._count(x) * reach(x), [self._factor(x, out)])
        return [problem] if problem else []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        x, out = need(ins[0]), outs[0]
        if is_float(ins, outs):
            return [rounded(np.asarray(arr(xs[0]).mean(axis=self.axes, keepdims=self.keep_dims, dtype=np.float64)))]
        total = arr(xs[0]).astype(np.int64).sum(axis=self.axes, keepdims=self.keep_dims) - x.zero_point * self._count(x)
        multiplier, shift = self._factor(x, out)
        mean = requantize(total, multiplier, shift) + out.zero_point
        return [clamp_to(mean, *INT_RANGE[out.dtype], out.dtype)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        kept, averaged = ([(1, 0)] * (LOOPS - len(g)) + g for g in self._groups(x))
        loops = (
            ("kept_size", [n for n, _ in kept]), ("kept_step", [s for _, s in kept]),
            ("mean_size", [n for n, _ in averaged]), ("mean_step", [s for _, s in averaged]),
        )  # fmt: skip
        if is_float([x], [out]):
            params = Struct("itg_mean_f32_params", (*loops, ("count", float(self._count(x)))))
            return Call("mean_f32", "itg_mean_f32", (Buf(x.name), Buf(out.name), params))
        multiplier, shift = self._factor(x, out)
        factor = (("multiplier", multiplier), ("shift", shift))
        offsets = (("in_sum_offset", -x.zero_point * self._count(x)), ("out_offset", out.zero_point))
        file, function = kernel("mean", x)
        params = Struct(f"{function}_params", (*loops, *(offsets if x.dtype == "int8" else ()), *factor))
        return Call(file, function, (Buf(x.name), Buf(out.name), params))

    def _count(self, x: Tensor) -> int:
        """Elements in one mean."""
        return math.prod(x.shape[a] for a in self.axes)

    def _factor(self, x: Tensor, out: Tensor) -> tuple[int, int]:
        """in_scale / out_scale / count as TFLM forms it: the quotient of scales first, then an integer division."""
        count = self._count(x)
        multiplier, shift = quantize_multiplier(x.scale / out.scale)
        bits = min(count.bit_length() - 1, 32, 31 + shift)
        return (multiplier << bits) // count, shift - bits

    def _groups(self, x: Tensor) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(size, step) of the loops over what stays and over what is averaged, neighbours merged, outermost first."""
        found: list[tuple[bool, int, int]] = []
        for d, (n, step) in enumerate(zip(x.shape, steps(x.shape), strict=True)):
            averaged = d in self.axes
            if n == 1:
                continue
            if found and found[-1][0] == averaged:
                found[-1] = (averaged, found[-1][1] * n, step)
            else:
                found.append((averaged, n, step))
        return [(n, s) for a, n, s in found if not a], [(n, s) for a, n, s in found if a]

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        rank = len(tensor_input(n, 0).shape)
        found = n.ints(1)
        if len(found) > 2 * rank:
            raise Refuse(f"it averages {len(found)} axes of {rank} dimensions")
        axes = tuple(sorted({axis_index(a, rank) for a in found}))
        return cls(axes, bool(n.options("ReducerOptions").KeepDims())), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        axes = np.array(self.axes, np.int32)
        return TfliteOp("MEAN", (node.inputs[0], axes), "ReducerOptions", {"KeepDims": self.keep_dims}, 2)

    def forward(self, *xs: Any) -> Any:
        return xs[0].mean(dim=self.axes, keepdim=self.keep_dims) if self.axes else xs[0]
