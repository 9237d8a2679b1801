"""PRELU against the oracle."""

import numpy as np
import pytest
from elementwise_cases import check_float_and_file, decimal, halfway
from harness import act, check_cases, const, graph_of

from intaglio.errors import GraphError
from intaglio.ops.prelu import PRelu


def case(rng):
    """An alpha a channel, for all of them, or for all elements; now and then computed at run time."""
    shape = tuple(int(v) for v in rng.integers(1, 8, int(rng.integers(2, 5))))
    even = rng.random() < 0.5
    x = act(rng, "x", shape, scale=decimal(rng) if even else None)
    kind = int(rng.integers(4))
    alpha_shape = [(shape[-1],), (1,) * (len(shape) - 2) + (shape[-1],), shape[1:], shape][kind]
    alpha = act(rng, "alpha", alpha_shape, scale=decimal(rng, 5) if even else None)
    if rng.random() < 0.8:
        alpha = const("alpha", rng.integers(-128, 128, alpha_shape).astype(np.int8), alpha.quant)
    out_scale = halfway(rng, x.scale) if even else x.scale * np.exp(rng.uniform(-2, 2))
    return graph_of(PRelu(), [x, alpha], [act(rng, "y", shape, scale=out_scale)])


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
