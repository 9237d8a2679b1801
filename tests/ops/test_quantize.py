"""QUANTIZE against the oracle."""

import numpy as np
import pytest
from cases.quantize import float_halves, from_float, halves
from elementwise_cases import decimal
from files import read_back
from harness import act, check_cases, graph_of

from intaglio.ops.quantize import Quantize


def test_float_matches_oracle():
    check_cases(from_float, 200)


@pytest.mark.parametrize("pair", [("int8", "int8"), ("int8", "uint8"), ("uint8", "int8")])
def test_rescaling_matches_oracle(pair):
    def case(rng):
        x = act(rng, "x", (1, 300), pair[0])
        scale = x.scale * (1 if rng.random() < 0.2 else float(np.exp(rng.uniform(-3, 3))))
        if rng.random() < 0.5:
            x, scale = act(rng, "x", (1, 300), pair[0], decimal(rng)), decimal(rng)
        return graph_of(Quantize(), [x], [act(rng, "y", (1, 300), pair[1], scale)])

    check_cases(case, 200)


def test_float_halves_match_oracle():
    check_cases(float_halves, 200)


def test_halves_round_away_from_zero_and_nonsense_saturates():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (8,), "float32"), act(rng, "y", (8,), scale=0.5, zero_point=3)
    real = np.array([0.25, -0.25, 0.75, 1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    assert Quantize().reference([real], [x], [y])[0].tolist() == [4, 2, 5, 127, -128, 127, -128, -128]


def test_rescaling_by_a_half_matches_oracle():
    check_cases(halves, 10)


def test_check_names_the_pair():
    rng = np.random.default_rng(1)
    problems = Quantize().check([act(rng, "x", (1,), "float32")], [act(rng, "y", (1,), "uint8")])
    assert "float32 to uint8" in problems[0]


def test_survives_a_file():
    assert read_back(halves(np.random.default_rng(1))).op == Quantize()
    assert read_back(from_float(np.random.default_rng(1))).op == Quantize()
