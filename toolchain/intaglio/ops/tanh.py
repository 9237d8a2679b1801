"""TANH, in the fixed point of TFLM's integer kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array, DTypeName, Quant
from .base import UNIT_INT16
from .exponential import exp_negative, half_of_one_plus, reciprocal, saturating_shift
from .fixed import rounding_shift
from .sigmoid import INTEGER_BITS, Curve, Sigmoid


@dataclass(frozen=True)
class Tanh(Sigmoid):
    """inputs: x int8, int16 or float32; output: of the same dtype and shape, int8 with scale 1/128 and zero point 0,
    int16 with scale 1/32768."""

    name: ClassVar[str] = "tanh"
    tflite: ClassVar[tuple[str, ...]] = ("TANH",)
    output_quants: ClassVar[Mapping[DTypeName, Quant]] = {"int8": Quant((1 / 128,), (0,)), "int16": UNIT_INT16}
    # Twice as steep: a bit less between two points.
    wide: ClassVar[Curve] = Curve(fraction=8, top=0xFFFF << 8, lift=0, out_shift=8)

    def curve(self, x: Array) -> Array:
        # (1 - e) / (1 + e) with e = exp(-2 |x|): doubling x is reading its bits with one integer bit more.
        e = exp_negative(-np.abs(x), INTEGER_BITS + 1)
        above = saturating_shift(reciprocal(half_of_one_plus(e)) - (1 << 29), 2)
        return rounding_shift(np.where(x == 0, 0, np.where(x < 0, -above, above)), 31 - 7)

    def real(self, x: Array) -> Array:
        return np.asarray(np.tanh(x))

    def forward(self, *xs: Any) -> Any:
        return xs[0].tanh()
