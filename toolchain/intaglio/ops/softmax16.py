"""SOFTMAX of int16 as TFLM computes it: exponential and reciprocal are tables with straight lines between the points.

runtime_c/kernels/c/softmax_s16.c is the same in C.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..graph import INT_RANGE, Array, Tensor
from .fixed import quantize_multiplier, requantize
from .wide import lookup

LOWEST = -10.0
"""Powers below exp(LOWEST) count as that."""
MAX_ROW = 65535
"""So many exponentials fit the sum, a Q16.15."""
DISTANCES = 65535
"""The largest distance of two int16 numbers; at the scale of the exponential's table it is LOWEST."""
LINES = 512


def factor(beta: float, x: Tensor) -> tuple[int, int]:
    """(multiplier, shift) from x's scale to that of the exponential's table."""
    return quantize_multiplier(beta * x.scale / (-LOWEST / DISTANCES))


def softmax16(x: Array, beta: float, t: Tensor) -> Array:
    """Rows along the last axis of int64 `x`, quantized as `t`; int64 in 0..32767, with scale 1/32768."""
    low, high = INT_RANGE["int16"]
    below = requantize(x - x.max(axis=-1, keepdims=True), *factor(beta, t))
    exps = lookup(np.clip(below, -DISTANCES, 0) + high, exponential())
    total = exps.sum(axis=-1, keepdims=True)
    bits = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1  # total is (1 + f) * 2**bits
    ones = (total << 30 - bits) + (1 << 13) >> 14  # 1 + f as a part of 2**16
    scale = lookup(np.clip(ones - 3 * (1 << 15), low, high), inverse())
    return np.asarray(np.clip(exps * scale + (np.int64(1) << bits - 1) >> bits, 0, high))


def exponential() -> Array:
    """exp from LOWEST to 0 in Q0.15, int16 [LINES + 1]."""
    # Up to single precision: what a C compiler's expf gives but for a last bit in rare cases, which the tables forgive.
    return _table(lambda v: np.float32(math.exp(float(v))), np.float32(LOWEST / DISTANCES) * DISTANCES, np.float32(0))


def inverse() -> Array:
    """1 / (1 + f) for f from 0 to 1 in Q0.15, int16 [LINES + 1]."""
    return _table(lambda v: np.float32(1) / (np.float32(1) + v), np.float32(0), np.float32(1))


def _table(function: Callable[[np.float32], np.float32], first: np.float32, last: np.float32) -> Array:
    """Points of a function at equal distances, each moved by half of what the line after it misses at its middle.

    All in float32, and rounded after each step, as TFLM works it out when a model is loaded.
    """
    step = (last - first) / np.float32(LINES)
    unit = np.float32(65536) / (np.float32(2 / 65535) * np.float32(65535))

    def at(i: float) -> np.float32:
        x = first + np.float32(math.floor(i)) * step + np.float32(i % 1 * 2) * (step / 2)
        return np.float32(function(x) * unit)

    found: list[float] = []
    for i in range(LINES):
        start = _round(at(i))
        line = _round((at(i + 1) + np.float32(start)) / np.float32(2))
        found.append(start - _round((line - _round(at(i + 0.5))) / 2))
    found.append(_round(at(LINES)))
    return np.clip(found, *INT_RANGE["int16"]).astype(np.int16)


def _round(value: float | np.float32) -> int:
    """Half away from zero."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), float(value)))
