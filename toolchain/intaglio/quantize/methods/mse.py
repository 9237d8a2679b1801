"""The range of least mean squared error: what clipping costs against what a finer step gains."""

from __future__ import annotations

import numpy as np

from ...graph import Array
from ..histogram import Histogram

SHARES = np.linspace(0.1, 1.0, 91)
"""Candidates for each end, as parts of the extreme that was seen."""
LEVELS = 256
ROUNDS = 3
"""The two ends are searched in turn so many times; they are only coupled through the step."""


def choose(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """The ends, each a share of the extreme, at which the squared error of all values counted is least."""
    x, n = _occupied(histogram)
    least, most = min(histogram.low, 0.0), max(histogram.high, 0.0)
    low, high = least, most
    for _ in range(ROUNDS):
        before = (low, high)
        # The widest of equals is taken: the ends that were seen may be seen again.
        high = _best([(low, most * s) for s in SHARES[::-1]], x, n)[1]
        low = _best([(least * s, high) for s in SHARES[::-1]], x, n)[0]
        if before == (low, high):
            break
    return low, high


def _best(candidates: list[tuple[float, float]], x: Array, n: Array) -> tuple[float, float]:
    return min(candidates, key=lambda ends: error(ends[0], ends[1], x, n))


def error(low: float, high: float, x: Array, n: Array) -> float:
    """Sum of the squared errors of values `x` that occur `n` times, quantized to 256 levels over [low, high]."""
    step = (high - low) / (LEVELS - 1)
    if not step > 0:
        return float("inf")
    zero = round(-low / step)
    q = np.clip(np.round(x / step) + zero, 0, LEVELS - 1)
    return float((n * ((q - zero) * step - x) ** 2).sum())


def _occupied(histogram: Histogram) -> tuple[Array, Array]:
    some = histogram.counts > 0
    return histogram.centres[some], histogram.counts[some].astype(np.float64)
