"""LEAKY_RELU against the oracle."""

import numpy as np
from cases.leaky_relu import case
from elementwise_cases import check_float_and_file
from files import refusal
from harness import act, check_cases

from intaglio.ops.leaky_relu import LeakyRelu


def test_matches_oracle():
    check_cases(case, 300)


def test_check_refuses_an_alpha_beyond_32_bits():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (5,), scale=1.0), act(rng, "y", (5,), scale=1.0)
    assert "32 bits" in LeakyRelu(-1e30).check([x], [y])[0]


def test_float_and_file():
    check_float_and_file(case)


def test_refuses_an_alpha_that_is_no_number():
    assert "alpha is nan" in refusal(case(np.random.default_rng(1)), Alpha=float("nan"))
