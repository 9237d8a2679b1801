"""HARD_SWISH against the oracle."""

import numpy as np
import pytest
from cases.hard_swish import case, sensitive
from elementwise_cases import check_float_and_file, unary_case
from harness import act, check_cases

from intaglio.ops.hard_swish import HardSwish


def test_matches_oracle():
    check_cases(case, 200)


def test_scales_are_divided_in_double():
    check_cases(sensitive, 100)


@pytest.mark.parametrize("scales", [(1.0, 1e-4), (1e-8, 1e-8), (1e-4, 100.0)])
def test_check_refuses_scales_that_16_bits_cannot_hold(scales):
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (5,), scale=scales[0]), act(rng, "y", (5,), scale=scales[1])
    assert HardSwish().check([x], [y])


def test_float_and_file():
    check_float_and_file(lambda rng: unary_case(rng, HardSwish(), 0.05, 0.05), steps=2)
