"""DEPTHWISE_CONV_2D against the oracle."""

import numpy as np
import pytest
from elementwise_cases import decimal, halfway
from files import read_back, refusal
from harness import act, check_cases, const, graph_of

from intaglio.errors import GraphError
from intaglio.graph import Quant
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.window import same_pads


def case(rng):
    in_c, multiplier = int(rng.integers(1, 7)), int(rng.choice([1, 1, 2, 3]))
    out_c = in_c * multiplier
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    dilation = tuple(int(v) for v in rng.integers(1, 4, 2))
    # TFLite pairs dilation with a stride of 1, but nothing in the kernel needs that.
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    if rng.random() < 0.5:
        hw = tuple(int(v) for v in rng.integers(1, 9, 2))  # smaller than the window now and then
        pads = same_pads(hw, kernel, stride, dilation)
    else:
        hw = tuple((k - 1) * d + 1 + int(rng.integers(0, 7)) for k, d in zip(kernel, dilation, strict=True))
        pads = (0, 0, 0, 0)
    op = DepthwiseConv2D(stride, dilation, pads, str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"])))
    x = act(rng, "x", (1, *hw, in_c))
    scales = np.float32(np.exp(rng.uniform(-7, -2, out_c if rng.random() < 0.7 else 1)))
    quant = Quant(tuple(float(s) for s in scales), (0,) * len(scales), 3 if len(scales) > 1 else None)
    w = const("w", rng.integers(-128, 128, (1, *kernel, out_c)).astype(np.int8), quant)
    bias_scales = tuple(float(np.float32(x.scale) * s) for s in scales)
    bias_quant = Quant(bias_scales, quant.zero_point, 0 if len(scales) > 1 else None)
    b = const("b", rng.integers(-20000, 20000, out_c).astype(np.int32), bias_quant) if rng.random() < 0.7 else None
    spread = x.scale * float(scales.max()) * 128 * np.sqrt(kernel[0] * kernel[1])
    out = act(rng, "y", op.infer([x, w, b], [])[0][0], scale=spread * np.exp(rng.uniform(-3, 1)))
    return graph_of(op, [x, w, b], [out])


def test_matches_oracle():
    check_cases(case, 200)


def halves(rng):
    """Weights of 1 and scales like 0.07: sums half way between two outputs, see `halfway`."""
    x = act(rng, "x", (1, 20, 10, 2), scale=decimal(rng))
    scales = tuple(decimal(rng) for _ in range(int(rng.integers(1, 3))))
    w = const("w", np.ones((1, 1, 1, 2), np.int8), Quant(scales, (0,) * len(scales), 3 if len(scales) > 1 else None))
    return graph_of(DepthwiseConv2D(), [x, w], [act(rng, "y", (1, 20, 10, 2), scale=halfway(rng, x.scale * scales[0]))])


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
