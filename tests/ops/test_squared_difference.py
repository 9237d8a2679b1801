"""SQUARED_DIFFERENCE against the oracle."""

import numpy as np
from cases.squared_difference import case
from elementwise_cases import check_float_and_file
from harness import act, check_cases

from intaglio.ops.squared_difference import SquaredDifference


def test_matches_oracle():
    check_cases(case, 300)


def test_check_refuses_scales_beyond_32_bits():
    rng = np.random.default_rng(1)
    a, y = act(rng, "a", (3,), scale=100.0), act(rng, "y", (3,), scale=1e-4)
    assert "32 bits" in SquaredDifference().check([a, a], [y])[0]


def test_float_and_file():
    check_float_and_file(case)
