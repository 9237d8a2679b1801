"""ADD."""

from deep import two
from elementwise_cases import activation, binary_case

from cases import WIDE, Cases
from intaglio.ops.add import Add


def case(rng):
    return binary_case(rng, Add(activation(rng)), lambda a, b: max(a.scale, b.scale))


CASES = (Cases(Add, case, WIDE, deep=two(Add())),)
