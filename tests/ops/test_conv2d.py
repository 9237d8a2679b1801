"""CONV_2D against the oracle."""

from cases.conv2d import case, halves
from harness import check_cases


def test_matches_oracle():
    check_cases(case, 300)


def test_halves_match_oracle():
    check_cases(halves, 150)
