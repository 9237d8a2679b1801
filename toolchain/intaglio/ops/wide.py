"""Arithmetic of int16 activations with int8 weights (TFLite's 16x8): sums and biases of 64 bits, in exact NumPy.

runtime_c/kernels/c/wide.h is the same in C. Zero points are 0. A sum is requantized in one step by a factor of 15
bits, rounded half up: not as the sums of int8 are (fixed.py).
"""

from __future__ import annotations

import numpy as np

from ..graph import Array
from .fixed import I32_MAX

RUN = 511
"""ITG_WIDE_RUN in wide.h: so many products of an int16 and an int8 fit 32 bits, whatever they are."""
SUM_BITS = 47
"""A sum stays below 2**47, and a factor's shift below SHIFTS: with more, TFLM aborts."""
SHIFTS = 8


def fifteen_bits(multiplier: Array | np.int64, shift: Array | np.int64) -> tuple[Array, Array]:
    """Factors as `quantize_multiplier` gives them -> (multiplier int16, right shift int8), rounded to 15 bits."""
    m = np.asarray(multiplier, np.int64)
    return np.minimum(m + (1 << 15) >> 16, (1 << 15) - 1).astype(np.int16), (15 - np.asarray(shift)).astype(np.int8)


def requantize_wide(x: Array, multiplier: Array, shift: Array) -> Array:
    """x * multiplier / 2**shift, rounded half up, with factors of `fifteen_bits`; x int64 below 2**47 in magnitude."""
    right = np.asarray(shift, np.int64)
    return np.asarray(x, np.int64) * np.asarray(multiplier, np.int64) + (np.int64(1) << right - 1) >> right


def sum_problem(bound: int, multiplier: int, shift: int) -> str:
    """Why a sum of at most `bound` in magnitude cannot be requantized by a factor of `quantize_multiplier`, or ""."""
    if bound >= 1 << SUM_BITS:
        return f"its accumulator can reach {bound}, beyond the {SUM_BITS} bits that requantization takes"
    m, right = (int(v) for v in fifteen_bits(np.int64(multiplier), np.int64(shift)))
    # TFLM keeps 32 bits of what comes out, before it clamps.
    if shift >= SHIFTS or bound * m >> right >= I32_MAX:
        return "its output scale is so much finer than its inputs' that requantization leaves 32 bits"
    return ""


def lookup(x: Array, table: Array) -> Array:
    """A function of int16 `x`: 513 points, one every 128 values from -32768 on, and straight lines between them."""
    at = np.asarray(x, np.int64) + (1 << 15)
    low, part = table[at >> 7].astype(np.int64), at & 127
    return np.asarray(low + ((table[(at >> 7) + 1] - low) * part + 64 >> 7))
