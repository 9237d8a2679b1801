"""MAXIMUM."""

from deep import two
from elementwise_cases import binary_case

from cases import WIDE, Cases
from intaglio.ops.maximum import Maximum


def case(rng):
    return binary_case(rng, Maximum(), None, alike=True)


CASES = (Cases(Maximum, case, WIDE, deep=two(Maximum())),)
