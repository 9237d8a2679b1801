"""Fixed-point arithmetic shared by the operators, in exact NumPy; runtime_c/kernels/c/fixed.h is the same in C.

Rounding follows the TFLite quantization specification with TFLM's two-step requantization: a doubling high multiply
that rounds half up, then a right shift that rounds half away from zero (Jacob et al., CVPR 2018, and gemmlowp).
All functions take and return int64 arrays that hold int32 values.
"""

from __future__ import annotations

import math

import numpy as np

from ..graph import Array

I32_MIN, I32_MAX = -(1 << 31), (1 << 31) - 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A positive real (double) as (multiplier, shift): real = multiplier * 2**(shift - 31).

    The multiplier is in [2**30, 2**31). Zero gives (0, 0), and so does what is too small to matter (shift below
    -31). What is too large saturates at
    a shift of 30; every operator's `check` refuses such scales before that can show.
    """
    if real == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    q = math.floor(mantissa * (1 << 31) + 0.5)
    if q == 1 << 31:
        q //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return I32_MAX, 30
    return q, shift


def wrap32(x: Array) -> Array:
    """Reduce modulo 2**32 into int32's range: what 32-bit registers do."""
    return np.asarray(((np.asarray(x, np.int64) + (1 << 31)) & 0xFFFFFFFF) - (1 << 31))


def doubling_high_mul(a: Array, b: Array | int) -> Array:
    """round(a * b / 2**31), half up (gemmlowp's SaturatingRoundingDoublingHighMul); -2**31 squared saturates."""
    a = np.asarray(a, np.int64)
    b = np.asarray(b, np.int64)
    high = (a * b + (1 << 30)) >> 31
    return np.asarray(np.where((a == I32_MIN) & (b == I32_MIN), I32_MAX, high))


def rounding_shift(x: Array, exponent: Array | int) -> Array:
    """x / 2**exponent, rounded half away from zero (gemmlowp's RoundingDivideByPOT); exponent in 0..31."""
    x = np.asarray(x, np.int64)
    e = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << e) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    return np.asarray((x >> e) + (remainder > threshold))


def requantize(x: Array, multiplier: Array | int, shift: Array | int) -> Array:
    """x * multiplier * 2**(shift - 31) with TFLM's two roundings; x, multiplier, shift broadcast."""
    s = np.asarray(shift, np.int64)
    left, right = np.maximum(s, 0), np.maximum(-s, 0)
    shifted = wrap32(np.asarray(x, np.int64) << left)
    return rounding_shift(doubling_high_mul(shifted, multiplier), right)


def clamp_to(x: Array, lo: int, hi: int, dtype: str = "int8") -> Array:
    """Clamp and narrow."""
    return np.clip(x, lo, hi).astype(dtype)


def accumulator_problem(bound: int, factors: list[tuple[int, int]]) -> str:
    """Whether a sum of at most `bound` in magnitude can be requantized by each (multiplier, shift) inside 32 bits.

    Returns the reason why not, or "". A model that fails this computes nonsense in every runtime (the sum wraps), and
    the C would have undefined behaviour: better refused than executed.
    """
    if bound > I32_MAX:
        return f"its accumulator can reach {bound}, beyond 32 bits"
    worst = max((bound << max(shift, 0) for _, shift in factors), default=0)
    if worst > I32_MAX - (1 << 16):
        return "its output scale is so much finer than its inputs' that requantization leaves 32 bits"
    return ""


def float32_ratio(a: float, b: float) -> float:
    """a / b rounded to float32, as LiteRT divides scales where TFLM divides doubles."""
    return float(np.float32(a) / np.float32(b))
