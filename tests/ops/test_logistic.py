"""LOGISTIC against the oracle."""

import numpy as np
from cases.logistic import case
from elementwise_cases import check_float_and_file, unary_case
from harness import act, check_cases

from intaglio.ops.logistic import Logistic


def test_matches_oracle():
    check_cases(case, 250)


def test_is_close_to_the_real_function():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (256,), scale=0.05, zero_point=3), act(rng, "y", (256,), scale=1 / 256, zero_point=-128)
    q = np.arange(-128, 128).astype(np.int8)
    real = 0.05 * (q.astype(float) - 3)
    found = Logistic().reference([q], [x], [y])[0].astype(float) * y.scale - (-128) * y.scale
    expected = 1 / (1 + np.exp(-real))
    assert np.abs(found - np.minimum(expected, 127 * y.scale - (-128) * y.scale)).max() <= 0.51 * y.scale


def test_check_refuses_another_output_scale():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (5,)), act(rng, "y", (5,), scale=0.01, zero_point=-128)
    assert "zero point" in Logistic().check([x], [y])[0]


def test_float_and_file():
    check_float_and_file(lambda rng: unary_case(rng, Logistic(), 0.03, 1 / 256, -128))
