"""1 / sqrt(n) of an integer in fixed point, as TFLite's int8 RSQRT and L2_NORMALIZATION have it; exact NumPy.

Newton-Raphson in Q3.28 on n scaled by a power of four, five steps from 1. runtime_c/kernels/c/inverse_sqrt.h is the
same in C, for where n is known at run time only.
"""

from __future__ import annotations

import numpy as np

from ..graph import Array
from .exponential import saturating_shift
from .fixed import I32_MAX, doubling_high_mul, rounding_shift

ONE, THREE_HALVES = 1 << 28, 3 << 27
HALF_SQRT_2 = 1518500250
"""sqrt(1/2) in Q0.31: n is taken for half of itself, so that the iteration starts near enough."""
STEPS = 5


def inverse_sqrt(n: Array) -> tuple[Array, Array]:
    """int32 numbers n >= 0 as (multiplier, shift): 1 / sqrt(n) is about multiplier * 2**(shift - 31).

    0 counts as 1, which is as near to 1 as Q0.31 gets. The relative error is below 2**-19.
    """
    n = np.asarray(n, np.int64)
    bits = np.frexp(np.maximum(n, 1).astype(np.float64))[1].astype(np.int64)
    # n in [2**27, 2**29) as a number in Q3.28 is between a half and two.
    down = np.maximum(bits - 28, 0) >> 1
    scaled = n >> 2 * down
    up = (31 - (bits - 2 * down)) // 2 - 1
    half = scaled << 2 * np.maximum(up, 0)
    shift = 11 + down - up
    half = half >> 1
    x = np.full_like(half, ONE)
    halved = rounding_shift(half, 1)
    for _ in range(STEPS):
        cube = saturating_shift(doubling_high_mul(doubling_high_mul(x, x), x), 6)
        x = saturating_shift(doubling_high_mul(x, THREE_HALVES) - doubling_high_mul(halved, cube), 3)
    x = doubling_high_mul(x, HALF_SQRT_2)
    x = np.where(shift < 0, x << np.maximum(-shift, 0), x)
    return np.where(n <= 1, I32_MAX, x), np.where(n <= 1, 0, -np.maximum(shift, 0))
