"""MINIMUM."""

from elementwise_cases import binary_case

from cases import WIDE, Cases
from intaglio.ops.minimum import Minimum


def case(rng):
    return binary_case(rng, Minimum(), None, alike=True)


CASES = (Cases(Minimum, case, WIDE),)
