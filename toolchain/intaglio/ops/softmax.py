"""SOFTMAX over the last axis; in int8 with TFLM's fixed-point exponential and reciprocal (gemmlowp's fixedpoint.h), in
int16 with the tables of softmax16.py."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, DTypeName, Quant, Tensor
from . import softmax16
from .base import (
    NARROWEST,
    UNIT_INT16,
    Buf,
    Call,
    Const,
    Ins,
    Op,
    Outs,
    Refuse,
    Struct,
    TfliteOp,
    Types,
    arr,
    need,
    over,
)
from .exponential import exp_negative, reciprocal, saturating_shift
from .fixed import I32_MAX, accumulator_problem, clamp_to, doubling_high_mul, quantize_multiplier, rounding_shift
from .float32 import float_problems, is_float, rounded
from .integer import integer_problems
from .movement import tensor_input

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode

INTEGER_BITS = 5
"""The exponential takes Q5.26: numbers in [-32, 0]."""
SUM_BITS = 12
"""The exponentials of a row are added up in Q12.19."""
MAX_ROW = (1 << SUM_BITS) - 1
"""So many ones fit the sum."""


@dataclass(frozen=True)
class Softmax(Op):
    """inputs: x [..., n], int8, int16 or float32. Output: exp(beta * x) / sum of the row, of the same dtype; int8 has
    scale 1/256 and zero point -128, int16 has scale 1/32768.

    An int8 row has 256 possible distances from its maximum, so that the exponential is a table made here: exact,
    faster than the series, and not larger than its code.
    """

    name: ClassVar[str] = "softmax"
    tflite: ClassVar[tuple[str, ...]] = ("SOFTMAX",)
    output_quants: ClassVar[Mapping[DTypeName, Quant]] = {"int8": Quant((1 / 256,), (-128,)), "int16": UNIT_INT16}
    narrowest_input: ClassVar[float] = NARROWEST
    gives_probabilities: ClassVar[bool] = True
    beta: float = 1.0

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if not x.shape:
            raise GraphError(x.name, "a softmax of a scalar", "at least one dimension")
        return [(x.shape, x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x, out = need(ins[0]), outs[0]
        if is_float(ins, outs):
            return float_problems(ins, outs)
        problems = integer_problems(ins, outs)
        if problems:
            return problems
        if x.dtype == "int16":
            return self._check_int16(x, out)
        if out.quant is None or (out.quant.scale, out.quant.zero_point) != ((1 / 256,), (-128,)):
            return ["its output must have scale 1/256 and zero point -128"]
        if x.shape[-1] > MAX_ROW:
            return [f"its rows have {x.shape[-1]} elements; {MAX_ROW} are supported"]
        if not self.beta * x.scale * (1 << 31 - INTEGER_BITS) > 1.0:
            return [f"its beta {self.beta} times its input scale {x.scale} is too small for fixed point"]
        return []

    def _check_int16(self, x: Tensor, out: Tensor) -> list[str]:
        if out.scale != 1 / 32768:
            return ["its output must have scale 1/32768"]
        if x.shape[-1] > softmax16.MAX_ROW:
            return [f"its rows have {x.shape[-1]} elements; {softmax16.MAX_ROW} are supported"]
        if accumulator_problem(softmax16.DISTANCES, [softmax16.factor(self.beta, x)]):
            return [f"its beta {self.beta} times its input scale {x.scale} is too large for fixed point"]
        return []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        if is_float(ins, outs):
            real = arr(xs[0]).astype(np.float64)
            powers = np.exp((real - real.max(axis=-1, keepdims=True)) * self.beta)
            return [rounded(powers / powers.sum(axis=-1, keepdims=True))]
        x = arr(xs[0]).astype(np.int64)
        if outs[0].dtype == "int16":
            return [softmax16.softmax16(x, self.beta, need(ins[0])).astype(np.int16)]
        table = exp_table(self.beta, need(ins[0]))
        below = x.max(axis=-1, keepdims=True) - x
        exps = np.where(below < table.size, table[np.minimum(below, table.size - 1)], 0).astype(np.int64)
        total = rounding_shift(exps, SUM_BITS).sum(axis=-1, keepdims=True)
        scale, over_one = inverse(total)
        # Beyond 31 the shift leaves nothing of a 32-bit number.
        shift = over_one + 31 - 8
        scaled = rounding_shift(doubling_high_mul(scale, exps), np.minimum(shift, 31))
        return [clamp_to(np.where(shift > 31, 0, scaled) - 128, -128, 127)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        over_x = over(x, out)
        n = x.shape[-1]
        sizes = (("rows", x.size // n), ("row_size", n))
        if x.dtype == "float32":
            params = Struct("itg_softmax_f32_params", (*sizes, ("beta", float(self.beta))))
            return Call("softmax_f32", "itg_softmax_f32", (Buf(x.name), Buf(out.name), params), overlaps=over_x)
        if x.dtype == "int16":
            multiplier, shift = softmax16.factor(self.beta, x)
            params = Struct("itg_softmax_s16_params", (*sizes, ("multiplier", multiplier), ("shift", shift)))
            tables = (
                Const("exp", softmax16.exponential(), "exp from -10 to 0, Q0.15"),
                Const("inverse", softmax16.inverse(), "1 / (1 + x) for x from 0 to 1, Q0.15"),
            )
            return Call(
                "softmax_s16", "itg_softmax_s16", (Buf(x.name), *tables, Buf(out.name), params), overlaps=over_x
            )
        table = exp_table(self.beta, x).astype(np.int32)
        params = Struct("itg_softmax_s8_params", (*sizes, ("table_size", int(table.size))))
        exps = Const("exp", table, "exp(-i * beta * scale), Q0.31; beyond the table it is too small to matter")
        return Call("softmax", "itg_softmax_s8", (Buf(x.name), exps, Buf(out.name), params), overlaps=over_x)

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        tensor_input(n, 0)
        beta = float(n.options("SoftmaxOptions").Beta())
        if not (math.isfinite(beta) and beta > 0):
            raise Refuse(f"its beta is {beta}; a positive number is needed")
        return cls(beta), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("SOFTMAX", node.inputs, "SoftmaxOptions", {"Beta": self.beta}, 2)

    def forward(self, *xs: Any) -> Any:
        return (xs[0] * self.beta).softmax(dim=-1)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        # A row is divided by a sum over all of it.
        x = need(ins[0])
        return ties.blocked(ins, outs) if ties.axis(x) == len(x.shape) - 1 else [ties.of(x)]


def exp_table(beta: float, x: Tensor) -> Array:
    """exp(-i * beta * scale) in Q0.31 for i = 0, 1, ... up to where it adds nothing to a sum or an output."""
    real = min(beta * x.scale * (1 << 31 - INTEGER_BITS), I32_MAX)
    multiplier, shift = quantize_multiplier(real)
    # Farther below the maximum the product would leave 32 bits; TFLM takes the exponential for 0 there.
    radius = (((1 << INTEGER_BITS) - 1) << 31 - INTEGER_BITS) >> shift
    below = np.arange(min(radius, 255) + 1, dtype=np.int64)
    table = exp_negative(doubling_high_mul(-below << shift, multiplier), INTEGER_BITS)
    # What rounds to 0 in the sum is also shifted out of every output.
    return table[: int(np.flatnonzero(rounding_shift(table, SUM_BITS))[-1]) + 1]


def inverse(total: Array) -> tuple[Array, Array]:
    """1 / total for Q12.19 sums >= 1: a Q0.31 factor, and the power of two to divide it by."""
    bits = np.frexp(total.astype(np.float64))[1].astype(np.int64)
    return saturating_shift(reciprocal(total << 31 - bits), 1), bits - (31 - SUM_BITS) - 1
