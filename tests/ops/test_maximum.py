"""MAXIMUM against the oracle."""

import numpy as np
from cases.maximum import case
from elementwise_cases import check_float_and_file
from harness import act, check_cases

from intaglio.ops.maximum import Maximum


def test_matches_oracle():
    check_cases(case, 200)


def test_check_refuses_unlike_scales():
    rng = np.random.default_rng(1)
    a, b = act(rng, "a", (2,), scale=1.0), act(rng, "b", (2,), scale=2.0)
    assert "alike" in Maximum().check([a, b], [a])[0]


def test_float_and_file():
    check_float_and_file(case)
