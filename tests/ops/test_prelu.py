"""PRELU against the oracle."""

import numpy as np
import pytest
from cases.prelu import case
from elementwise_cases import check_float_and_file
from harness import act, check_cases

from intaglio.errors import GraphError
from intaglio.ops.prelu import PRelu


def test_matches_oracle():
    check_cases(case, 300)


def test_refuses_an_alpha_larger_than_the_input():
    rng = np.random.default_rng(1)
    with pytest.raises(GraphError, match="an alpha of"):
        PRelu().infer([act(rng, "x", (1, 3)), act(rng, "alpha", (4, 3))], [])


def test_check_refuses_scales_beyond_32_bits():
    rng = np.random.default_rng(1)
    x, alpha, y = act(rng, "x", (3,), scale=1.0), act(rng, "alpha", (3,), scale=1.0), act(rng, "y", (3,), scale=1e-8)
    assert "32 bits" in PRelu().check([x, alpha], [y])[0]


def test_float_and_file():
    check_float_and_file(case)
