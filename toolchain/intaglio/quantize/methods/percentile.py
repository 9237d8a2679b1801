"""Leaves out the outermost values on either side: outliers would spend the eight bits on themselves."""

from __future__ import annotations

import numpy as np

from ..histogram import BINS, Histogram


def choose(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """The range that leaves out 100 - `percentile` % of the values below and above; `percentile` in (50, 100]."""
    share = np.concatenate([[0.0], np.cumsum(histogram.counts)]) / histogram.counts.sum()
    first = int(np.searchsorted(share, 1.0 - percentile / 100.0, side="right")) - 1
    last = int(np.searchsorted(share, percentile / 100.0, side="left"))
    edges = histogram.edges
    return float(edges[max(first, 0)]), float(edges[min(last, BINS)])
