"""FULLY_CONNECTED against the oracle."""

import numpy as np
import pytest
from elementwise_cases import decimal, halfway
from files import read_back, refusal
from floats import check_forward
from harness import act, check_cases, const, graph_of

from intaglio.errors import GraphError
from intaglio.graph import Quant
from intaglio.ops.fully_connected import FullyConnected


def case(rng):
    in_c, out_c = int(rng.integers(1, 40)), int(rng.integers(1, 12))
    keep = rng.random() < 0.4
    op = FullyConnected(str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"])), bool(keep))
    leading = tuple(int(v) for v in rng.integers(1, 4, int(rng.integers(1, 4))))
    shape = (*leading, in_c)
    if not keep and rng.random() < 0.3:
        shape = (1, 2, in_c, 3)  # rows of in_c taken across dimensions
    x = act(rng, "x", shape)
    scales = np.float32(np.exp(rng.uniform(-7, -2, out_c if rng.random() < 0.5 else 1)))
    quant = Quant(tuple(float(s) for s in scales), (0,) * len(scales), 0 if len(scales) > 1 else None)
    w = const("w", rng.integers(-128, 128, (out_c, in_c)).astype(np.int8), quant)
    bias_quant = Quant(tuple(float(np.float32(x.scale) * s) for s in scales), quant.zero_point, quant.axis)
    b = const("b", rng.integers(-20000, 20000, out_c).astype(np.int32), bias_quant) if rng.random() < 0.7 else None
    spread = x.scale * float(scales.max()) * 128 * np.sqrt(in_c)
    out = act(rng, "y", op.infer([x, w, b], [])[0][0], scale=spread * np.exp(rng.uniform(-3, 1)))
    return graph_of(op, [x, w, b], [out])


def test_matches_oracle():
    check_cases(case, 200)


def halves(rng):
    """One weight of 1 a row and scales like 0.07: sums half way between two outputs, see `halfway`."""
    x = act(rng, "x", (200, 2), scale=decimal(rng))
    scales = tuple(decimal(rng) for _ in range(int(rng.integers(1, 3))))
    quant = Quant(scales, (0,) * len(scales), 0 if len(scales) > 1 else None)
    w = const("w", np.eye(2, dtype=np.int8), quant)
    return graph_of(FullyConnected(), [x, w], [act(rng, "y", (200, 2), scale=halfway(rng, x.scale * scales[0]))])


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
