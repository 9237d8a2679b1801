"""HARD_SWISH against the oracle."""

import numpy as np
import pytest
from elementwise_cases import check_float_and_file, unary_case
from harness import act, check_cases

from intaglio.ops.hard_swish import HardSwish, factor16


def case(rng):
    # From inputs that never reach 3 to inputs that saturate at once.
    scale = float(np.exp(rng.uniform(np.log(1e-4), np.log(4.0))))
    return unary_case(rng, HardSwish(), scale, scale * float(np.exp(rng.uniform(-4, 2))))


def test_matches_oracle():
    check_cases(case, 200)


def sensitive(rng):
    """Scales whose quotient gives another 16-bit multiplier when it is rounded to float32 first."""
    while True:
        x, y = (float(np.float32(np.exp(rng.uniform(-5, 0)))) for _ in "xy")
        in_double, in_float = factor16(x / 128 / y), factor16(float(np.float32(x) / np.float32(128) / np.float32(y)))
        if in_double != in_float and in_double[1] <= 0:
            return unary_case(rng, HardSwish(), x, y)


def test_scales_are_divided_in_double():
    check_cases(sensitive, 100)


@pytest.mark.parametrize("scales", [(1.0, 1e-4), (1e-8, 1e-8), (1e-4, 100.0)])
def test_check_refuses_scales_that_16_bits_cannot_hold(scales):
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (5,), scale=scales[0]), act(rng, "y", (5,), scale=scales[1])
    assert HardSwish().check([x], [y])


def test_float_and_file():
    check_float_and_file(lambda rng: unary_case(rng, HardSwish(), 0.05, 0.05), steps=2)
