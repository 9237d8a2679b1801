"""TANH against the oracle."""

import numpy as np
from cases.tanh import case
from elementwise_cases import check_float_and_file, unary_case
from harness import act, check_cases

from intaglio.ops.tanh import Tanh


def test_matches_oracle():
    check_cases(case, 250)


def test_is_close_to_the_real_function():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (256,), scale=0.05, zero_point=3), act(rng, "y", (256,), scale=1 / 128, zero_point=0)
    q = np.arange(-128, 128).astype(np.int8)
    real = 0.05 * (q.astype(float) - 3)
    found = Tanh().reference([q], [x], [y])[0].astype(float) * y.scale - (0) * y.scale
    expected = np.tanh(real)
    assert np.abs(found - np.minimum(expected, 127 * y.scale - (0) * y.scale)).max() <= 0.51 * y.scale


def test_check_refuses_another_output_scale():
    rng = np.random.default_rng(1)
    assert "zero point" in Tanh().check([act(rng, "x", (5,))], [act(rng, "y", (5,), scale=0.01, zero_point=0)])[0]


def test_float_and_file():
    check_float_and_file(lambda rng: unary_case(rng, Tanh(), 0.03, 1 / 128, 0))
