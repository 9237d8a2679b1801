"""MUL."""

from deep import two
from elementwise_cases import activation, binary_case

from cases import WIDE, Cases
from intaglio.ops.mul import Mul


def case(rng):
    return binary_case(rng, Mul(activation(rng)), lambda a, b: 64 * a.scale * b.scale)


CASES = (Cases(Mul, case, WIDE, deep=two(Mul())),)
