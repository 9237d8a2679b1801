"""LOGISTIC: 1 / (1 + exp(-x)), in the fixed point of TFLM's integer kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array, DTypeName, Quant
from .base import UNIT_INT16
from .exponential import exp_negative, half_of_one_plus, reciprocal, saturating_shift
from .fixed import I32_MAX, rounding_shift
from .sigmoid import INTEGER_BITS, Curve, Sigmoid


@dataclass(frozen=True)
class Logistic(Sigmoid):
    """inputs: x int8, int16 or float32; output: of the same dtype and shape, int8 with scale 1/256 and zero point -128,
    int16 with scale 1/32768."""

    name: ClassVar[str] = "logistic"
    tflite: ClassVar[tuple[str, ...]] = ("LOGISTIC",)
    output_quants: ClassVar[Mapping[DTypeName, Quant]] = {"int8": Quant((1 / 256,), (-128,)), "int16": UNIT_INT16}
    wide: ClassVar[Curve] = Curve(fraction=9, top=0x7FFF << 10, lift=1 << 24, out_shift=10)

    def curve(self, x: Array) -> Array:
        above = saturating_shift(reciprocal(half_of_one_plus(exp_negative(-np.abs(x), INTEGER_BITS))), 1)
        y = np.where(x > 0, above, I32_MAX - above)
        return rounding_shift(np.where(x == 0, 1 << 30, y), 31 - 8) - 128

    def real(self, x: Array) -> Array:
        # 1 / (1 + exp(-x)) without an exponential that overflows.
        return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))

    def forward(self, *xs: Any) -> Any:
        return xs[0].sigmoid()
