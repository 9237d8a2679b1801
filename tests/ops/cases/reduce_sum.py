"""REDUCE_SUM."""

from reductions import reduction_case

from cases import Cases
from intaglio.ops.reduce_sum import ReduceSum


def case(rng):
    return reduction_case(rng, ReduceSum)


def deep(rng):
    return reduction_case(rng, ReduceSum, (3, 4, 5, 6), 6)


CASES = (Cases(ReduceSum, case, deep=deep),)
