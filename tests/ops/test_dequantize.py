"""DEQUANTIZE against the oracle."""

import numpy as np
import pytest
from files import read_back
from harness import act, check_cases, graph_of

from intaglio.ops.dequantize import Dequantize


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_matches_oracle(dtype):
    def case(rng):
        shape = tuple(int(v) for v in rng.integers(1, 6, int(rng.integers(1, 5))))
        return graph_of(Dequantize(), [act(rng, "x", shape, dtype)], [act(rng, "y", shape, "float32")])

    check_cases(case, 200)


def test_check_needs_a_scale():
    rng = np.random.default_rng(1)
    float_input = act(rng, "x", (1,), "float32")
    assert "float32" in Dequantize().check([float_input], [float_input])[0]


def test_survives_a_file():
    rng = np.random.default_rng(1)
    assert read_back(graph_of(Dequantize(), [act(rng, "x", (2,))], [act(rng, "y", (2,), "float32")])).op == Dequantize()
