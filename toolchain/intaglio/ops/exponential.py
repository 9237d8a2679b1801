"""Fixed-point exp and reciprocal as gemmlowp's fixedpoint.h defines them, in NumPy; int64 arrays that hold int32.

Qm.n has m integer bits, n = 31 - m fractional ones and a sign. No kernel needs this: 8-bit inputs take few enough
values that lowering tabulates the results.
"""

from __future__ import annotations

import math

import numpy as np

from ..graph import Array
from .fixed import I32_MAX, I32_MIN, doubling_high_mul, rounding_shift


def q31(real: float) -> int:
    """A number in [-1, 1) as Q0.31."""
    return math.floor(real * (1 << 31) + 0.5)


def saturating_shift(x: Array, bits: int) -> Array:
    """x * 2**bits, clamped to int32."""
    return np.asarray(np.clip(np.asarray(x, np.int64) << bits, I32_MIN, I32_MAX))


def exp_negative(x: Array, integer_bits: int) -> Array:
    """exp of numbers <= 0 in Q(integer_bits), integer_bits in 1..5, as Q0.31.

    A series around -1/8 for the part in [-1/4, 0), times exp(-2**k) for each further bit of the magnitude.
    """
    quarter = 1 << 29 - integer_bits
    part = (x & (quarter - 1)) - quarter
    t = (part << integer_bits) + (1 << 28)
    t2 = doubling_high_mul(t, t)
    t3, t4 = doubling_high_mul(t2, t), doubling_high_mul(t2, t2)
    tail = rounding_shift(doubling_high_mul(rounding_shift(t4, 2) + t3, q31(1 / 3)) + t2, 1)
    centre = q31(math.exp(-1 / 8))
    result = centre + doubling_high_mul(t + tail, centre)
    rest = part - x
    for power in range(-2, integer_bits):
        bit = rest >> 31 - integer_bits + power & 1
        result = np.where(bit == 1, doubling_high_mul(result, q31(math.exp(-(2.0**power)))), result)
    return np.where(x == 0, I32_MAX, result)


def reciprocal(d: Array) -> Array:
    """1 / d for Q0.31 numbers in [1/2, 1], as Q2.29: Newton-Raphson from the estimate 48/17 - 32/17 d, three steps."""
    y = q31(48 / 17 / 4) + doubling_high_mul(d, q31(-32 / 17 / 4))
    for _ in range(3):
        error = (1 << 29) - doubling_high_mul(d, y)
        y = y + saturating_shift(doubling_high_mul(y, error), 2)
    return y


def half_of_one_plus(x: Array) -> Array:
    """(1 + x) / 2 for Q0.31 numbers in [0, 1), rounded half up."""
    return np.asarray(x, np.int64) + I32_MAX + 1 >> 1
