"""L2_NORMALIZATION against the oracle."""

import numpy as np
from cases.l2_normalization import case
from files import read_back, refusal
from floats import check_forward
from harness import act, check_cases

from intaglio.ops.inverse_sqrt import inverse_sqrt
from intaglio.ops.l2_normalization import L2Normalization


def test_matches_oracle():
    check_cases(case, 200)


def test_inverse_square_root_of_any_integer():
    n = np.unique(np.concatenate([np.arange(1, 3000), np.geomspace(3000, (1 << 31) - 1, 5000).astype(np.int64)]))
    multiplier, shift = inverse_sqrt(n)
    found = multiplier * 2.0 ** (shift - 31.0)
    assert np.abs(found * np.sqrt(n) - 1).max() < 2.0**-19
    assert ((multiplier > 0) & (multiplier < 1 << 31) & (shift <= 0) & (shift >= -31)).all()


def test_check():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (1, 40000)), act(rng, "y", (1, 40000), scale=1 / 128, zero_point=0)
    assert "40000" in L2Normalization().check([x], [y])[0]
    assert "1/128" in L2Normalization().check([x], [act(rng, "y", (1, 40000), scale=0.1)])[0]


def test_float_and_file():
    for i in range(20):
        rng = np.random.default_rng([2, i])
        graph = case(rng)
        check_forward(graph, rng, 1.0, batched=False)
        assert read_back(graph).op == graph.nodes[0].op
    assert "activation" in refusal(graph, FusedActivationFunction=1)
