"""REDUCE_MAX."""

from reductions import reduction_case

from cases import Cases
from intaglio.ops.reduce_max import ReduceMax


def case(rng):
    return reduction_case(rng, ReduceMax)


def deep(rng):
    return reduction_case(rng, ReduceMax, (3, 4, 5, 6), 6)


CASES = (Cases(ReduceMax, case, deep=deep),)
