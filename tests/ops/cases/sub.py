"""SUB."""

from elementwise_cases import activation, binary_case

from cases import WIDE, Cases
from intaglio.ops.sub import Sub


def case(rng):
    return binary_case(rng, Sub(activation(rng)), lambda a, b: max(a.scale, b.scale))


CASES = (Cases(Sub, case, WIDE),)
