"""What lossless reduction must keep, on any graphs."""

from __future__ import annotations

from harness import compare, host_c, numpy_reference

from intaglio.compress.lossless import cost, lossless


def check(graphs, feeds, seed, borders=True):
    """NumPy and C of the reduced graphs give what NumPy gives for the graphs. Returns the reduced graphs."""
    reduced = [lossless(g, borders) for g in graphs]
    expected = [numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    found = [numpy_reference(g, rows) for g, rows in zip(reduced, feeds, strict=True)]
    compare("the reduced graph", graphs, feeds, expected, found, seed)
    compare("its C", graphs, feeds, expected, host_c(reduced, feeds), seed)
    for before, after in zip(graphs, reduced, strict=True):
        assert all(a <= b for a, b in zip(cost(after), cost(before), strict=True))
        assert lossless(after, borders) is after
    return reduced
