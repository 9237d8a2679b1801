"""A histogram that grows batch by batch in bounded memory: what the calibration methods look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Array

BINS = 8192
"""32 bins a quantization step of the widest range."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """`counts` int64 [BINS] of values in as many equal bins between `low` and `high` (low < high)."""

    low: float
    high: float
    counts: Array

    @property
    def edges(self) -> Array:
        """float64 [BINS + 1]."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @property
    def centres(self) -> Array:
        """float64 [BINS]: the value that stands for each bin. Zero stands for the bin it is in: what a ReLU cuts off
        is zero exactly, and is quantized without error."""
        edges = self.edges
        middle = (edges[:-1] + edges[1:]) / 2
        return np.where((edges[:-1] <= 0) & (edges[1:] > 0), 0.0, middle)


def empty(low: float, high: float) -> Histogram:
    return Histogram(low, high, np.zeros(BINS, np.int64))


def counted(histogram: Histogram, values: Array) -> Histogram:
    """The histogram with `values` added; those outside its ends are not counted."""
    # In double: float32 histograms of a nearly constant tensor have no room for their bins.
    x = np.asarray(values, np.float64).ravel()
    found = np.histogram(x, BINS, (histogram.low, histogram.high))[0]
    return Histogram(histogram.low, histogram.high, histogram.counts + found)
