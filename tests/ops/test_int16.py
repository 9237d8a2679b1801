"""int16 activations (16x8): the cases of every operator's own test, widened, against the oracle."""

import cases as operators
import numpy as np
import pytest
from cases import conv2d, depthwise_conv2d, fully_connected, leaky_relu, mul, transpose_conv
from elementwise_cases import decimal
from every_operator import FINER, widened
from files import read_back
from floats import check_forward
from harness import act, check_cases, const, graph_of

from intaglio.graph import Quant
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.dequantize import Dequantize
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.hard_swish import HardSwish
from intaglio.ops.logistic import Logistic
from intaglio.ops.mul import Mul
from intaglio.ops.quantize import Quantize
from intaglio.ops.relu import Relu
from intaglio.ops.softmax import Softmax
from intaglio.ops.softmax16 import MAX_ROW
from intaglio.ops.tanh import Tanh

WIDE = [c for c in operators.every() if "int16" in c.dtypes]


def wide(case):
    return lambda rng: widened(case(rng), rng)


@pytest.mark.parametrize("found", WIDE, ids=lambda c: c.name)
def test_matches_oracle(found):
    """Cases of other dtypes among them stay as they are."""
    check_cases(wide(found.make), 220, judge=found.oracle)


@pytest.mark.parametrize("found", [c for c in WIDE if c.halves], ids=lambda c: c.name)
def test_halves_match_oracle(found):
    check_cases(wide(found.halves), 60)


# ---- one input --------------------------------------------------------------------------------------------------


def long_case(rng, op, scale, out_scale):
    shape = [(1, 2000), (1, 5, 7, 40)][int(rng.integers(2))]
    x = act(rng, "x", shape, "int16", scale)
    return graph_of(op, [x], [act(rng, "y", shape, "int16", out_scale)])


@pytest.mark.parametrize("op", [Logistic(), Tanh()])
def test_curves_match_oracle(op):
    # From inputs near zero to inputs whose every step saturates; powers of two are scales of their own in TFLM.
    def case(rng):
        scale = 2.0 ** int(rng.integers(-18, 2)) if rng.random() < 0.3 else np.exp(rng.uniform(np.log(1e-8), 0.97))
        return long_case(rng, op, scale, 1 / 32768)

    check_cases(case, 200)


@pytest.mark.parametrize(("op", "real"), [(Logistic(), lambda v: 1 / (1 + np.exp(-v))), (Tanh(), np.tanh)])
def test_curves_are_close_to_the_real_functions(op, real):
    q = np.arange(-32768, 32768).astype(np.int16)
    x, y = act(None, "x", q.shape, "int16", 1 / 4096), act(None, "y", q.shape, "int16", 1 / 32768)
    found = op.reference([q], [x], [y])[0] / 32768
    assert np.abs(found - real(q / 4096)).max() < 3e-4


def test_softmax_matches_oracle():
    def case(rng):
        row = int(rng.choice([1, 2, 3, 10, 12, 100, 700]))
        shape = [int(d) for d in rng.integers(1, 4, int(rng.integers(0, 4)))] + [row]
        beta = float(np.float32(rng.choice([1.0, 1.0, 0.5, 3.7])))
        x = act(rng, "x", shape, "int16", np.exp(rng.uniform(np.log(1e-6), 0.0)) / max(beta, 1.0))
        return graph_of(Softmax(beta), [x], [act(rng, "y", shape, "int16", 1 / 32768)])

    check_cases(case, 60)


def test_softmax_of_long_rows():
    def case(rng):
        x = act(rng, "x", (1, int(rng.choice([4096, MAX_ROW]))), "int16", 1e-4)
        return graph_of(Softmax(), [x], [act(rng, "y", x.shape, "int16", 1 / 32768)])

    check_cases(case, 4)


def test_softmax_is_close_to_the_real_function():
    rng = np.random.default_rng(1)
    q = rng.integers(-32768, 32768, (50, 10)).astype(np.int16)
    x, y = act(rng, "x", q.shape, "int16", 1 / 8192), act(rng, "y", q.shape, "int16", 1 / 32768)
    powers = np.exp(q / 8192)
    found = Softmax().reference([q], [x], [y])[0] / 32768
    assert np.abs(found - powers / powers.sum(-1, keepdims=True)).max() < 2e-4


def test_relu_matches_oracle():
    def case(rng):
        scale = decimal(rng) / FINER
        return long_case(rng, Relu("relu"), scale, scale * float(rng.choice([1, 0.5, 2, 0.7, 1.9])))

    check_cases(case, 200)


def test_relu6_matches_oracle():
    def case(rng):
        scale = float(np.exp(rng.uniform(-11, -4)))
        return long_case(rng, Relu("relu6"), scale, scale)

    check_cases(case, 200)


def test_relu_n1_to_1():
    # TFLM has no such operator.
    op = Relu("relu_n1_to_1")
    check_cases(lambda rng: long_case(rng, op, decimal(rng) / 64, decimal(rng) / 64), 200, judge=False)


@pytest.mark.parametrize("pair", [("int16", "int16"), ("int8", "int16"), ("int16", "int8"), ("float32", "int16")])
def test_quantize_matches_oracle(pair):
    def case(rng):
        x = act(rng, "x", (1, 300), pair[0])
        scale = float(np.exp(rng.uniform(-6, 0)))
        if pair[0] != "float32":
            finer = {"int8": 1, "int16": FINER}
            x = act(rng, "x", (1, 300), pair[0], decimal(rng) / finer[pair[0]])
            scale = decimal(rng) / finer[pair[1]]
        return graph_of(Quantize(), [x], [act(rng, "y", (1, 300), pair[1], scale)])

    check_cases(case, 200)


def test_dequantize_matches_oracle():
    def case(rng):
        return graph_of(Dequantize(), [act(rng, "x", (1, 300), "int16")], [act(rng, "y", (1, 300), "float32")])

    check_cases(case, 200)


# ---- what is long, large or refused -----------------------------------------------------------------------------


def test_sums_beyond_32_bits_match_oracle():
    """More products than 32 bits are certain to hold, all of one sign."""

    def case(rng):
        n = int(rng.choice([511, 512, 513, 1300, 3000]))
        x = act(rng, "x", (1, n), "int16", 0.001)
        w = const("w", np.full((2, n), rng.choice([-128, 127]), np.int8), Quant((0.01,), (0,)))
        b = const("b", rng.integers(-(1 << 36), 1 << 36, 2), Quant((1e-5,), (0,)))
        y = act(rng, "y", (1, 2), "int16", 0.001 * float(np.exp(rng.uniform(0, 12))))
        return graph_of(FullyConnected(), [x, w, b], [y])

    check_cases(case, 60)


def test_windows_beyond_32_bits_match_oracle():
    def case(rng):
        x = act(rng, "x", (1, 3, 520, 3), "int16", 0.001)
        quant = Quant((0.01,), (0,))
        y = act(rng, "y", (1, 1, 10, 3), "int16", 1.0)
        if rng.random() < 0.5:
            return graph_of(DepthwiseConv2D(), [x, const("w", np.full((1, 3, 511, 3), -128, np.int8), quant)], [y])
        w = const("w", np.full((3, 3, 511, 3), 127, np.int8), quant)
        return graph_of(Conv2D(), [x, w], [y])

    check_cases(case, 8)


def weighted(bias=None, out_scale=1.0, weights=1, out_dtype="int16"):
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (1, 4), "int16", 0.01), act(rng, "y", (1, 2), out_dtype, out_scale, 0)
    w = const("w", np.full((2, 4), weights, np.int8), Quant((0.01,), (0,)))
    ins = [x, w] if bias is None else [x, w, const("b", bias, Quant((1e-4,), (0,)))]
    return FullyConnected().check(ins, [y])


def test_check_refuses_what_would_not_be_exact():
    assert weighted() == [] and weighted(np.array([1 << 46, -5]), out_scale=1e3) == []
    assert "int64" in weighted(np.array([1, 2], np.int32))[0]
    assert "47 bits" in weighted(np.array([1 << 47, 0]))[0]
    assert "47 bits" in weighted(np.array([-(1 << 63), 0]))[0]
    assert "finer" in weighted(out_scale=1e-7)[0]
    assert "finer" in weighted(np.array([1 << 40, 0]), out_scale=0.01)[0]
    assert weighted(np.array([1 << 40, 0]), out_scale=0.1) == []
    assert "int16, int8, int8" in weighted(out_dtype="int8")[0]


def test_check_refuses_an_offset_and_other_widths():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (4,), "int16", 0.1), act(rng, "y", (4,), "int16", 0.1)
    off = act(rng, "y", (4,), "int16", 0.1, 3)
    assert "zero point 3" in Relu().check([x], [off])[0]
    assert "zero point 3" in Dequantize().check([off], [act(rng, "f", (4,), "float32")])[0]
    assert "mixes" in Mul().check([x, act(rng, "b", (4,))], [y])[0]
    assert "x is int16" in HardSwish().check([x], [y])[0]
    assert "1/32768" in Logistic().check([x], [y])[0]
    assert "outside" in Tanh().check([act(rng, "x", (4,), "int16", 3.0)], [act(rng, "y", (4,), "int16", 1 / 32768)])[0]
    assert "1/32768" in Softmax().check([x], [y])[0]
    large = act(rng, "x", (4,), "int16", 30.0)
    assert "too large" in Softmax().check([large], [act(rng, "y", (4,), "int16", 1 / 32768)])[0]


def test_survives_a_file():
    for module in (conv2d, depthwise_conv2d, fully_connected, transpose_conv):
        graph = widened(module.case(np.random.default_rng(5)), np.random.default_rng(5))
        back = read_back(graph)
        # An absent bias may be said or left away.
        assert back.op == graph.nodes[0].op and [n for n in back.inputs if n] == [n for n in graph.nodes[0].inputs if n]


def test_float_meaning():
    for i in range(20):
        rng = np.random.default_rng([3, i])
        check_forward(widened(mul.case(rng), rng), rng, 1.5, batched=False)
        check_forward(widened(leaky_relu.case(rng), rng), rng, 1.5, batched=False)
