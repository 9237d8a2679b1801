"""DEPTHWISE_CONV_2D against the oracle."""

import numpy as np
import pytest
from cases.depthwise_conv2d import case, halves
from files import read_back, refusal
from harness import act, check_cases, const

from intaglio.errors import GraphError
from intaglio.graph import Quant
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D


def test_matches_oracle():
    check_cases(case, 200)


def test_halves_match_oracle():
    check_cases(halves, 100)


def test_float_forward_pairs_channels_as_the_integers_do():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((1, 3, 2, 6))
    y = DepthwiseConv2D((2, 1), (1, 2), (1, 0, 0, 1)).forward(torch.tensor(x), torch.tensor(w)).numpy()
    padded = np.pad(x, ((0, 0), (1, 0), (0, 1), (0, 0)))
    for oy, ox, oc in [(0, 0, 0), (1, 2, 3), (2, 3, 5)]:
        taps = padded[:, 2 * oy : 2 * oy + 3, [ox, ox + 2], oc // 2]
        assert np.allclose(y[:, oy, ox, oc], (taps * w[0, :, :, oc]).sum((1, 2)))


def test_refuses_weights_of_other_channels():
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 4, 4, 3))
    w = const("w", np.zeros((1, 2, 2, 4), np.int8), Quant((0.1,), (0,)))
    with pytest.raises(GraphError, match="do not fit"):
        DepthwiseConv2D().infer([x, w], [])


def test_survives_a_file():
    for i in range(20):
        graph = case(np.random.default_rng([5, i]))
        back = read_back(graph)
        assert back.op == graph.nodes[0].op and back.inputs == tuple(n for n in graph.nodes[0].inputs if n)


def test_refuses_forged_options():
    graph = case(np.random.default_rng([1, 1]))
    assert "depth multiplier is 9" in refusal(graph, DepthMultiplier=9)
    assert "stride" in refusal(graph, StrideH=0)
    assert "padding code" in refusal(graph, Padding=7)
    assert "activation" in refusal(graph, FusedActivationFunction=4)
