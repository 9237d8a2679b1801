"""The range whose quantized distribution tells the least from the true one, by Kullback-Leibler divergence.

S. Migacz, "8-bit inference with TensorRT", GTC 2017, with two changes: a one-sided tensor has all 256 levels on its
side, and zeros are left out, since they are exact at any scale and a ReLU makes so many of them.
"""

from __future__ import annotations

import numpy as np

from ...graph import Array
from ..histogram import Histogram

BINS = 2048
"""Of the magnitudes."""
CANDIDATES = 128
"""Thresholds that are tried, between as many bins as there are levels, and all bins."""


def choose(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """[-t, t] within what was seen, t the threshold of least divergence."""
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    two_sided = low < 0 < high and min(-low, high) > max(-low, high) / 16
    levels = 128 if two_sided else 256
    reach = max(-low, high)
    magnitudes = np.abs(histogram.centres)
    counts, _ = np.histogram(magnitudes, BINS, (0.0, reach), weights=histogram.counts * (magnitudes > 0))
    t = threshold(counts, levels) * reach / BINS
    return max(low, -t), min(high, t)


def threshold(counts: Array, levels: int) -> int:
    """How many of the bins `counts` [BINS] to keep, for a quantizer of `levels` levels."""
    ends = np.unique(np.linspace(levels, len(counts), CANDIDATES).round().astype(int))
    # The widest of equals: the ends that were seen may be seen again.
    return int(min(ends[::-1], key=lambda end: divergence(counts, int(end), levels)))


def divergence(counts: Array, end: int, levels: int) -> float:
    """KL(true || quantized) in nats, with everything from bin `end` on clipped into the bin before it."""
    kept = counts[:end].astype(np.float64)
    if kept.sum() == 0:
        return float("inf")
    true = kept.copy()
    true[-1] += counts[end:].sum()
    group = np.arange(end) * levels // end
    some = kept > 0
    # Each level's count is spread evenly over those of its bins that are not empty.
    mean = np.bincount(group, kept, levels) / np.maximum(np.bincount(group, some, levels), 1)
    quantized = np.where(some, mean[group], 0.0)
    p, q = true / true.sum(), quantized / quantized.sum()
    # A clipped tail over an empty bin has no counterpart at all: as good as impossible, but finite.
    q = np.maximum(q, 1e-12)
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())
