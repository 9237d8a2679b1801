"""RSQRT: 1 / sqrt(x)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array, DTypeName, Tensor
from .elementwise import Unary
from .fixed import quantize_multiplier, requantize
from .inverse_sqrt import inverse_sqrt

FRACTION_BITS = 20
"""The inverse square root of an input's integer is rounded to so many bits before it is scaled."""


@dataclass(frozen=True)
class Rsqrt(Unary):
    """inputs: x int8 or float32; output: of the same dtype and shape.

    An int8 x of zero gives the largest output, and so does a negative one, which TFLM refuses at run time.
    """

    name: ClassVar[str] = "rsqrt"
    tflite: ClassVar[tuple[str, ...]] = ("RSQRT",)
    finest: ClassVar[Mapping[DTypeName, float]] = {"int8": 0.0, "int16": 0.0}  # a table

    def check_int8(self, x: Tensor, out: Tensor) -> list[str]:
        if _factor(x, out)[1] > 29:  # quantize_multiplier saturates at 30
            return [f"its output scale {out.scale} is too fine for its input scale {x.scale}"]
        return []

    def litert_values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        product = float(np.sqrt(np.float32(x.scale)) * np.float32(out.scale))
        return self._scaled(q, x, out, quantize_multiplier(1 / product))

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        return self._scaled(q, x, out, _factor(x, out))

    def _scaled(self, q: Array, x: Tensor, out: Tensor, scaled: tuple[int, int]) -> Array:
        distance = q - x.zero_point
        multiplier, shift = inverse_sqrt(np.maximum(distance, 1))
        root = requantize(np.ones_like(q), multiplier, shift + FRACTION_BITS)
        factor, factor_shift = scaled
        y = requantize(root, factor, factor_shift - FRACTION_BITS) + out.zero_point
        return np.where(distance <= 0, 127, np.clip(y, -128, 127))

    def real(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(1 / np.sqrt(x))

    def forward(self, *xs: Any) -> Any:
        return xs[0].rsqrt()


def _factor(x: Tensor, out: Tensor) -> tuple[int, int]:
    return quantize_multiplier(1 / (math.sqrt(x.scale) * out.scale))
