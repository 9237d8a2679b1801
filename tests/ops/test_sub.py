"""SUB against the oracle."""

from cases.sub import case
from elementwise_cases import check_float_and_file
from harness import check_cases


def test_matches_oracle():
    check_cases(case, 300)


def test_float_and_file():
    check_float_and_file(case)
