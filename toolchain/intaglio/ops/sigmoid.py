"""What LOGISTIC and TANH share: the input in fixed point with four integer bits, beyond which the output is flat."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..graph import Array, Quant, Tensor
from .elementwise import Unary
from .fixed import quantize_multiplier, requantize

INTEGER_BITS = 4
FRACTION_BITS = 31 - INTEGER_BITS


@dataclass(frozen=True)
class Sigmoid(Unary):
    """An odd S-shaped curve, from -128 to 127 in an output whose quantization is given: `output_quant`."""

    output_quant: ClassVar[Quant]

    def curve(self, x: Array) -> Array:
        """The curve at int64 numbers in Q4.27, as int8 numbers before the clamp."""
        raise NotImplementedError

    def check_int8(self, x: Tensor, out: Tensor) -> list[str]:
        quant = self.output_quant
        if out.quant is None or (out.quant.scale, out.quant.zero_point) != (quant.scale, quant.zero_point):
            return [f"its output must have scale 1/{round(1 / quant.scale[0])} and zero point {quant.zero_point[0]}"]
        if x.scale < 2.0 ** -(FRACTION_BITS + 1):
            return [f"its input scale {x.scale} is too small for fixed point"]
        return []

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        multiplier, shift = quantize_multiplier(x.scale * (1 << FRACTION_BITS))
        # From this distance on the product would leave 32 bits. frexp again: `shift` stops at 30, beyond which the
        # radius is 0, and even an input at its zero point then counts as far below, as in TFLM.
        exponent = math.frexp(x.scale)[1] + FRACTION_BITS
        radius = (((1 << INTEGER_BITS) - 1) << FRACTION_BITS) >> exponent
        distance = q - x.zero_point
        inside = np.where(np.abs(distance) < radius, distance, 0)
        y = np.clip(self.curve(requantize(inside, multiplier, shift)), -128, 127)
        return np.where(distance <= -radius, -128, np.where(distance >= radius, 127, y))
