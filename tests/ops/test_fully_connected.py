"""FULLY_CONNECTED against the oracle."""

import numpy as np
import pytest
from cases.fully_connected import case, halves
from files import read_back, refusal
from floats import check_forward
from harness import act, check_cases, const, graph_of

from intaglio.errors import GraphError
from intaglio.graph import Quant
from intaglio.ops.fully_connected import FullyConnected


def test_matches_oracle():
    check_cases(case, 200)


def test_halves_match_oracle():
    check_cases(halves, 100)


def test_refuses_what_does_not_fit():
    rng = np.random.default_rng(1)
    w = const("w", np.zeros((2, 5), np.int8), Quant((0.1,), (0,)))
    with pytest.raises(GraphError, match="do not fit"):
        FullyConnected().infer([act(rng, "x", (1, 7)), w], [])
    with pytest.raises(GraphError, match="last dimension"):
        FullyConnected(keep_num_dims=True).infer([act(rng, "x", (5, 2)), w], [])


def test_check_refuses_an_accumulator_beyond_32_bits():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (1, 1), zero_point=0), act(rng, "y", (1, 1))
    w = const("w", np.ones((1, 1), np.int8), Quant((0.1,), (0,)))
    b = const("b", np.array([2**31 - 1], np.int32), Quant((0.1,), (0,)))
    assert "32 bits" in FullyConnected().check([x, w, b], [y])[0]


def test_survives_a_file():
    for i in range(20):
        graph = case(np.random.default_rng([5, i]))
        back = read_back(graph)
        # A kept shape of two dimensions reads the same either way.
        assert back.op.activation == graph.nodes[0].op.activation
        assert back.op.infer(graph.ins(graph.nodes[0]), []) == [(graph.tensors["y"].shape, "int8")]
        assert back.inputs == tuple(n for n in graph.nodes[0].inputs if n)


def test_refuses_forged_options():
    graph = case(np.random.default_rng([1, 1]))
    assert "shuffled" in refusal(graph, WeightsFormat=1)
    assert "activation" in refusal(graph, FusedActivationFunction=4)


def test_float_forward():
    rng = np.random.default_rng(2)
    x = act(rng, "x", (1, 6), scale=0.05, zero_point=2)
    w = const("w", rng.integers(-127, 128, (3, 6)).astype(np.int8), Quant((0.02,), (0,)))
    b = const("b", rng.integers(-500, 500, 3).astype(np.int32), Quant((0.001,), (0,)))
    check_forward(graph_of(FullyConnected("relu6"), [x, w, b], [act(rng, "y", (1, 3), scale=0.1, zero_point=0)]), rng)
