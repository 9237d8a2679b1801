"""RELU, RELU6 and RELU_N1_TO_1 against the oracle."""

import numpy as np
from cases.relu import relu6
from elementwise_cases import check_float_and_file, unary_case
from harness import act, check_cases

from intaglio.ops.relu import Relu


def test_relu_matches_oracle():
    check_cases(lambda rng: unary_case(rng, Relu("relu")), 200)


def test_relu6_matches_oracle():
    check_cases(relu6, 200)


def test_relu_n1_to_1():
    # TFLM has no such operator.
    check_cases(lambda rng: unary_case(rng, Relu("relu_n1_to_1")), 200, judge=False)


def test_relu_n1_to_1_clamps_at_one():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (5,), scale=0.25, zero_point=0), act(rng, "y", (5,), scale=0.5, zero_point=1)
    found = Relu("relu_n1_to_1").reference([np.array([-128, -2, 0, 2, 5], np.int8)], [x], [y])[0]
    assert found.tolist() == [-1, 0, 1, 2, 3]


def test_check_refuses_relu6_that_rescales():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (5,), scale=0.25), act(rng, "y", (5,), scale=0.5)
    assert "RELU6" in Relu("relu6").check([x], [y])[0]


def test_float_and_file():
    check_float_and_file(relu6)
    check_float_and_file(lambda rng: unary_case(rng, Relu("relu")))
    check_float_and_file(lambda rng: unary_case(rng, Relu("relu_n1_to_1")))
