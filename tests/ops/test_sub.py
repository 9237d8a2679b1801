"""SUB against the oracle."""

from elementwise_cases import activation, binary_case, check_float_and_file
from harness import check_cases

from intaglio.ops.sub import Sub


def case(rng):
    return binary_case(rng, Sub(activation(rng)), lambda a, b: max(a.scale, b.scale))


def test_matches_oracle():
    check_cases(case, 300)


def test_float_and_file():
    check_float_and_file(case)
