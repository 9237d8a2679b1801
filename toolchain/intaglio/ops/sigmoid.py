"""What LOGISTIC and TANH share: the input in fixed point, beyond whose range the output is flat.

In 8 bits that is Q4.27 and the series of exponential.py; in 16 bits both are one table of the sigmoid with straight
lines between its points, since tanh(x) = 2 sigmoid(2 x) - 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..graph import Array, Quant, Tensor
from .base import NARROWEST, Buf, Call, Const, Struct
from .curve import tabulated
from .elementwise import Unary
from .fixed import quantize_multiplier, requantize

INTEGER_BITS = 4
FRACTION_BITS = 31 - INTEGER_BITS
POINTS = 256
"""Of the table for int16: ITG_SIGMOID_STEPS + 1 in sigmoid_s16.h. Point i is the sigmoid of i / 24."""


@dataclass(frozen=True)
class Curve:
    """How the int16 kernel reads the table: the fields of itg_sigmoid_s16_params of these names."""

    fraction: int
    top: int
    lift: int
    out_shift: int


@dataclass(frozen=True)
class Sigmoid(Unary):
    """An odd S-shaped curve, over the whole range of an output whose quantization is given (`output_quants`)."""

    narrowest_input: ClassVar[float] = NARROWEST
    wide: ClassVar[Curve]

    def curve(self, x: Array) -> Array:
        """The curve at int64 numbers in Q4.27, as int8 numbers before the clamp."""
        raise NotImplementedError

    def check_int8(self, x: Tensor, out: Tensor) -> list[str]:
        if x.scale < 2.0 ** -(FRACTION_BITS + 1):
            return [f"its input scale {x.scale} is too small for fixed point"]
        return _output_problems(out, self.output_quants["int8"])

    def check_int16(self, x: Tensor, out: Tensor) -> list[str]:
        multiplier, _ = input_factor(x)
        if not 0 < multiplier < 1 << 15:
            return [f"its input scale {x.scale} is outside what 16-bit fixed point takes"]
        return _output_problems(out, self.output_quants["int16"])

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        if x.dtype == "int16":
            return self.values_int16(q, x)
        multiplier, shift = quantize_multiplier(x.scale * (1 << FRACTION_BITS))
        # From this distance on the product would leave 32 bits. frexp again: `shift` stops at 30, beyond which the
        # radius is 0, and even an input at its zero point then counts as far below, as in TFLM.
        exponent = math.frexp(x.scale)[1] + FRACTION_BITS
        radius = (((1 << INTEGER_BITS) - 1) << FRACTION_BITS) >> exponent
        distance = q - x.zero_point
        inside = np.where(np.abs(distance) < radius, distance, 0)
        y = np.clip(self.curve(requantize(inside, multiplier, shift)), -128, 127)
        return np.where(distance <= -radius, -128, np.where(distance >= radius, 127, y))

    def litert_values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        return self.values(q, x, out) if x.dtype == "int16" else tabulated(self.real, q, x, out)

    def values_int16(self, q: Array, x: Tensor) -> Array:
        multiplier, shift = input_factor(x)
        c, table = self.wide, points()
        place = q * multiplier + (1 << shift >> 1) >> shift
        distance = np.abs(place)
        point = np.minimum(distance >> c.fraction, POINTS - 2)
        part = distance & (1 << c.fraction) - 1
        inside = (table[point] << c.fraction) + part * (table[point + 1] - table[point])
        y = np.where(distance >> c.fraction < POINTS - 1, inside, c.top) - (1 << 15 + c.fraction)
        # The curve is odd around its centre; the complement rounds the lower half as the upper one.
        return np.where(place < 0, ~y, y) + c.lift + (1 << c.out_shift - 1) >> c.out_shift

    def call_int16(self, x: Tensor, out: Tensor) -> Call:
        multiplier, shift = input_factor(x)
        c = self.wide
        fields = (
            ("count", x.size), ("multiplier", multiplier), ("shift", shift),
            ("fraction", c.fraction), ("top", c.top), ("lift", c.lift), ("out_shift", c.out_shift),
        )  # fmt: skip
        table = Const("table", points().astype(np.uint16), "the sigmoid of i / 24, in parts of 2^16")
        params = Struct("itg_sigmoid_s16_params", fields)
        return Call("sigmoid_s16", "itg_sigmoid_s16", (Buf(x.name), table, Buf(out.name), params))


def _output_problems(out: Tensor, quant: Quant) -> list[str]:
    if out.quant is None or (out.quant.scale, out.quant.zero_point) != (quant.scale, quant.zero_point):
        return [f"its output must have scale 1/{round(1 / quant.scale[0])} and zero point {quant.zero_point[0]}"]
    return []


def input_factor(x: Tensor) -> tuple[int, int]:
    """(multiplier, shift): x * multiplier / 2**shift is 3 * 4096 times the real number. The multiplier has 15 bits, cut
    off and not rounded, and 0 where the scale is too small for any."""
    real = x.scale * 3 * 4096
    shift = 0
    while real * 2.0**shift <= 32767 / 2 and shift < 31:
        shift += 1
    return int(real * 2.0**shift), shift


def points() -> Array:
    """The table, int64 [POINTS] in 0..65535: each point is raised by half of what the line after it lies too low at its
    middle, so that the error of the lines is shared out. The last is the end of the curve."""
    at = np.arange(POINTS - 1)
    start, middle, end = (_sigmoid(at + d) for d in (0.0, 0.5, 1.0))
    raised = start + 0.5 * (middle - (start + end) / 2)
    return np.append(np.floor(raised + 0.5), 65535).astype(np.int64)


def _sigmoid(i: Array) -> Array:
    return np.asarray(65536 / (1 + np.exp(-i / 24)))
