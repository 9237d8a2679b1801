"""SQUARED_DIFFERENCE."""

from deep import two
from elementwise_cases import binary_case

from cases import Cases
from intaglio.ops.squared_difference import SquaredDifference


def case(rng):
    return binary_case(rng, SquaredDifference(), lambda a, b: 60 * max(a.scale, b.scale) ** 2)


CASES = (Cases(SquaredDifference, case, deep=two(SquaredDifference())),)
