"""MUL against the oracle."""

import numpy as np
from cases.mul import case
from elementwise_cases import check_float_and_file
from harness import act, check_cases

from intaglio.ops.mul import Mul


def test_matches_oracle():
    check_cases(case, 300)


def test_check_refuses_a_product_beyond_32_bits():
    rng = np.random.default_rng(1)
    a, b = act(rng, "a", (2,), scale=1.0), act(rng, "b", (2,), scale=1.0)
    assert "32 bits" in Mul().check([a, b], [act(rng, "y", (2,), scale=2.0**-16)])[0]


def test_float_and_file():
    check_float_and_file(case)
