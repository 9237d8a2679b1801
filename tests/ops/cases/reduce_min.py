"""REDUCE_MIN."""

from reductions import reduction_case

from cases import Cases
from intaglio.ops.reduce_min import ReduceMin


def case(rng):
    return reduction_case(rng, ReduceMin)


def deep(rng):
    return reduction_case(rng, ReduceMin, (3, 4, 5, 6), 6)


CASES = (Cases(ReduceMin, case, deep=deep),)
