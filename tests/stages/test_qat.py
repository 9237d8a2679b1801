"""Quantization-aware training computes in the device's integers: the bytes of NumPy and of the C, while it trains."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from floats import real, same_graph
from harness import act, compare, const, graph_of, host_c, inputs_for
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize
from torch_zoo import ZOO, Fn, channels_last, conv, model, sample, seq

from intaglio import arrays, interpret, models
from intaglio.errors import DataError, TrainingError, UnsupportedError
from intaglio.frontends import torch as frontend
from intaglio.graph import Quant
from intaglio.ops.add import Add
from intaglio.ops.average_pool2d import AveragePool2D
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.fixed import quantize_multiplier, requantize
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.hard_swish import HardSwish
from intaglio.ops.leaky_relu import LeakyRelu
from intaglio.ops.logistic import Logistic
from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.ops.maximum import Maximum
from intaglio.ops.mean import Mean
from intaglio.ops.mul import Mul
from intaglio.ops.pad import Pad
from intaglio.ops.quantize import Quantize
from intaglio.ops.relu import Relu
from intaglio.ops.reshape import Reshape
from intaglio.ops.softmax import Softmax
from intaglio.ops.split import Split
from intaglio.ops.sub import Sub
from intaglio.ops.transpose_conv import TransposeConv
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.post_training import quantize
from intaglio.train import integer, quantization_aware, to_graph, to_module

torch.set_num_threads(1)
SEEDS = st.integers(0, 2**32 - 1)


# ---- one operator -----------------------------------------------------------------------------------------------


@given(SEEDS)
@settings(max_examples=150, deadline=None)
def test_requantization_in_float64_is_exact(seed):
    rng = np.random.default_rng(seed)
    # Powers of two and halves of them make ties; small factors make long shifts.
    factors = [2.0 ** int(rng.integers(-14, 4)) * float(rng.choice([1.0, 0.75, rng.uniform(0.5, 1)])) for _ in range(6)]
    pairs = [quantize_multiplier(f) for f in factors]
    multiplier, shift = (np.array(v, np.int64) for v in zip(*pairs, strict=True))
    wide = rng.integers(-(1 << 24), 1 << 24, (400, 6))
    ties = (rng.integers(-300, 300, (400, 6)) + 0.5) / np.array(factors)
    near = np.round(ties).astype(np.int64) + rng.integers(-2, 3)
    for sums in (wide >> np.maximum(shift, 0), wide >> 14, near):
        want = np.clip(requantize(sums, multiplier, shift), -255, 255)
        factor = torch.tensor(multiplier * 2.0 ** (shift - 31.0))
        found = integer._scaled(torch.tensor(sums, dtype=torch.float64), factor, multiplier, shift).clamp(-255, 255)
        assert (found.numpy() == want).all()


def weights_of(rng, shape, axis, name="w"):
    data = rng.choice([-128, -127, 127], shape) if rng.random() < 0.3 else rng.integers(-128, 128, shape)
    channels = shape[axis]
    scales = tuple(float(np.float32(s)) for s in np.exp(rng.uniform(-7, -3, channels)))
    quant = Quant(scales, (0,) * channels, axis) if channels > 1 else Quant(scales, (0,))
    return const(name, data.astype(np.int8), quant)


def with_bias(rng, x, w, axis):
    if rng.random() < 0.3:
        return [x, w]
    channels = w.shape[axis]
    steps = tuple(float(np.float32(x.scale * s)) for s in w.quant.scale)
    quant = Quant(steps, (0,) * len(steps), 0 if channels > 1 else None)
    return [x, w, const("b", rng.integers(-(1 << 26), 1 << 26, channels).astype(np.int32), quant)]


def weighted_case(rng):
    activation = str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"]))
    h, w, c = (int(v) for v in rng.integers(1, 9, 3))
    kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    pads = tuple(int(v) for v in rng.integers(1, 3, 4))
    outputs = int(rng.integers(1, 6))
    kind = int(rng.integers(4))
    x = act(rng, "x", (1, h + 2, w + 2, c))
    if kind == 0:
        groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
        op, weights, axis = Conv2D(stride, (1, 1), pads, activation), (outputs * groups, *kernel, c // groups), 0
    elif kind == 1:
        op, weights, axis = DepthwiseConv2D(stride, (1, 1), pads, activation), (1, *kernel, c * outputs), 3
    elif kind == 2:
        x = act(rng, "x", (1, int(rng.choice([c, 300, 1500]))))
        op, weights, axis = FullyConnected(activation), (outputs, x.shape[1]), 0
    else:
        op, weights, axis = TransposeConv((2 * h + 1, 2 * w + 2), (2, 2), (1, 0), activation), (outputs, *kernel, c), 0
    ins = with_bias(rng, x, weights_of(rng, weights, axis), axis)
    return op, ins, None


def other_case(rng):
    shape = (1, *(int(v) for v in rng.integers(2, 7, 3)))
    x = act(rng, "x", shape)
    activation = str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"]))
    kind = int(rng.integers(16))
    alike = replace(x, name="b")
    if kind < 6:
        op = (Add(activation), Sub(activation), Mul(activation))[kind % 3]
        b = act(rng, "b", shape if kind < 3 else (1, 1, 1, shape[3]))
        if kind >= 3:
            b = const("b", rng.integers(-128, 128, b.shape).astype(np.int8), b.quant)
        return op, [x, b], None
    if kind == 6:
        return LeakyRelu(float(rng.normal())), [x], None
    if kind == 7:
        return Relu(str(rng.choice(["relu", "relu_n1_to_1"]))), [x], None
    if kind == 8:
        return (Quantize() if rng.random() < 0.5 else HardSwish()), [x], None
    if kind == 9:
        return (Logistic(), [x], Quant((1 / 256,), (-128,)))
    if kind == 10:
        return Softmax(), [x], Quant((1 / 256,), (-128,))
    if kind == 11:
        return Mean((1, 2), bool(rng.random() < 0.5)), [x], None
    if kind == 12:
        pool = AveragePool2D if rng.random() < 0.5 else MaxPool2D
        return pool((2, 2), (1, 2), (1, 0, 0, 1), activation), [x], x.quant
    if kind == 13:
        return (Maximum() if rng.random() < 0.5 else Concatenation(3)), [x, alike], x.quant
    if kind == 14:
        return Pad(((0, 0), (1, 2), (0, 1), (0, 0)), float(rng.choice([0.0, 0.3]))), [x], x.quant
    return (Split(3, (1, shape[3] - 1)) if rng.random() < 0.5 else Reshape((1, x.size))), [x], x.quant


@given(SEEDS)
@settings(max_examples=200, deadline=None)
def test_a_node_is_its_reference(seed):
    rng = np.random.default_rng(seed)
    op, ins, quant = (weighted_case if rng.random() < 0.5 else other_case)(rng)
    out = act(rng, "y0", (1,))
    found = op.infer(ins, [replace(out, name=f"y{i}") for i in range(2)])
    outs = [replace(out, name=f"y{i}", shape=tuple(s), quant=quant or out.quant) for i, (s, _) in enumerate(found)]
    if op.check(ins, outs):
        return
    graph = graph_of(op, ins, outs)
    for row in inputs_for(graph, rng, 1):
        two = [np.concatenate([v, v[:, ::-1]]) for v in row]
        want = [interpret.step(graph, [v[i : i + 1] for v in two], {})[0] for i in range(2)]
        given_ = dict(zip(graph.inputs, two, strict=True))
        xs = []
        for t in ins:
            if t.name in given_:
                xs.append(torch.tensor(given_[t.name].astype(np.float32) - t.zero_point, requires_grad=True))
            else:
                along = [-1 if d == t.quant.axis else 1 for d in range(len(t.shape))]
                scale = np.array(t.quant.scale).reshape(along if t.quant.axis is not None else ())
                shift = 0 if len(t.quant.zero_point) > 1 else t.zero_point
                xs.append(integer.constant_value(t, torch.tensor((t.data.astype(np.float64) - shift) * scale)))
        wide = [replace(t, shape=(2, *t.shape[1:])) if t.name in given_ else t for t in ins]
        wide_outs = [replace(t, shape=(2, *t.shape[1:])) for t in outs]
        got = integer.run_node(graph.nodes[0], wide, wide_outs, xs, None, True)
        for k, (t, y) in enumerate(zip(outs, got, strict=True)):
            both = np.concatenate([w[k] for w in want])
            assert ((y.detach().numpy() + t.zero_point) == both).all(), (op, [(i.shape, i.quant) for i in ins])
        sum(y.sum() for y in got).backward()
        assert all(x.grad is not None and torch.isfinite(x.grad).all() for x in xs if x.is_leaf and x.requires_grad)


def test_sums_beyond_float32_are_exact():
    """Sums that climb to 2**29 and come back to 765: rounded on the way, they would end elsewhere."""
    rng = np.random.default_rng(0)
    count = 40000
    x = act(rng, "x", (1, count), scale=1.0, zero_point=-128)
    data = np.repeat(np.array([[127, -127]], np.int8), count // 2, 1)
    data[0, -1] += 3
    w = const("w", data, Quant((1.0,), (0,)))
    y = act(rng, "y", (1, 1), scale=8.0, zero_point=0)
    values = [torch.full((1, count), 255.0), torch.tensor(data.astype(np.float32))]
    want = FullyConnected().reference([np.full((1, count), 127, np.int8), data], [x, w], [y])
    [got] = integer.run_node(graph_of(FullyConnected(), [x, w], [y]).nodes[0], [x, w], [y], values, None, True)
    assert got.item() == want[0].item() == 96


# ---- gradients --------------------------------------------------------------------------------------------------


def test_gradients_are_those_of_the_floats_and_zero_where_clamped():
    rng = np.random.default_rng(1)
    graph = frontend.load(seq(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).eval(), torch.zeros(1, 6))
    x = rng.normal(size=(64, 6)).astype(np.float32)
    ranges = calibrate(graph, x)
    hidden, last = graph.nodes[1].outputs[0], graph.outputs[0]
    ranges[hidden] = (0.0, ranges[hidden][1] / 2)
    ranges[last] = (ranges[last][0] / 3, ranges[last][1] / 3)
    qat = quantization_aware(graph, ranges)
    quantized = to_graph(qat)
    q = arrays.quantize(x, models.ports(quantized)[0][0])
    bytes_of = {n: [] for n in (hidden, last)}
    for one in q:
        interpret.step(quantized, [one.reshape(1, 6)], {}, lambda n, v: bytes_of[n].append(v))
    # The integers and, by hand, the real results before they are rounded and clamped.
    seen = [real(quantized.tensors[quantized.inputs[0]], q.reshape(64, 6))]
    seen += [real(quantized.tensors[n], np.concatenate(v)) for n, v in bytes_of.items()]
    # Requantization rounds twice: within a hundredth of a step of a bound, either may be right: those weigh 0.
    free, sure = [], np.ones((64, 1), bool)
    for node, values in zip(quantized.nodes, seen, strict=False):
        w, b, out = (quantized.tensors[n] for n in (*node.inputs[1:], *node.outputs))
        sums = values @ real_weights(w).T + b.data * np.array(b.quant.scale)
        steps = sums / out.scale + out.zero_point
        sure &= np.minimum(np.abs(steps + 128.5), np.abs(steps - 127.5)).min(1, keepdims=True) > 0.01
        free.append((steps >= -128.5) & (steps <= 127.5))
    assert all(f.any() and not f.all() for f in free)
    y = qat(torch.tensor(x))
    np.testing.assert_allclose(y.detach().numpy(), seen[2], rtol=1e-6, atol=1e-6)
    assert sure.sum() > 40
    weight = torch.tensor(rng.normal(size=(64, 3)) * sure, dtype=torch.float32)
    (y * weight).sum().backward()
    last_gradient = weight.numpy() * free[1]
    hidden_gradient = last_gradient @ real_weights(quantized.tensors[quantized.nodes[1].inputs[1]]) * free[0]
    found = {n.split(".")[1] + n.split(".")[-1]: p.grad.numpy() for n, p in qat.named_parameters() if "." in n}
    first, second = (n.name for n in graph.nodes if n.op.name == "fully_connected")
    for name, gradient, before in ((first, hidden_gradient, seen[0]), (second, last_gradient, seen[1])):
        np.testing.assert_allclose(found[f"{name}weight"], gradient.T @ before, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[f"{name}bias"], gradient.sum(0), rtol=1e-4, atol=1e-5)


def real_weights(t):
    return t.data.astype(np.float64) * np.array(t.quant.scale)[:, None]


def test_ranges_are_learned():
    """A range three times too wide narrows, and the error with it; frozen, it stays."""
    torch.manual_seed(0)
    graph = frontend.load(nn.Linear(8, 4).eval(), torch.zeros(1, 8))
    x = torch.randn(512, 8)
    with torch.no_grad():
        want = to_module(graph)(x)
    ranges = {n: (3 * a, 3 * b) for n, (a, b) in calibrate(graph, x).items()}
    qat = quantization_aware(graph, ranges)
    optimizer = torch.optim.Adam([qat.growth], 0.02)
    losses = []
    for _ in range(60):
        loss = F.mse_loss(qat(x), want)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    assert (qat.growth.detach().exp() < 0.6).all()
    qat.freeze_ranges()
    before = to_graph(qat)
    qat(x).sum().backward()
    assert same_graph(before, to_graph(qat)) and not qat.growth.requires_grad


# ---- models -----------------------------------------------------------------------------------------------------


class Small(nn.Module):
    """Residual add, depthwise, both poolings, concatenation, softmax."""

    def __init__(self):
        super().__init__()
        self.stem = seq(conv(1, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = seq(conv(8, 8, 3, padding=1, groups=8), nn.ReLU6(), conv(8, 8, 1))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = F.max_pool2d(self.stem(x), 2)
        y = F.relu(x + self.depthwise(x))
        y = torch.cat([F.avg_pool2d(y, 2), F.max_pool2d(x, 2)], 1)
        return torch.softmax(self.head(y.mean((2, 3))), 1)


def patterns(n, seed=0):
    """Images of ten classes that a small network can learn: a bright square at one of ten places, in noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    x = rng.normal(size=(n, 8, 8, 1)).astype(np.float32) * 0.3
    for i, c in enumerate(labels):
        x[i, c // 5 * 4 : c // 5 * 4 + 3, c % 5 + 1 : c % 5 + 3] += 1.5
    return torch.tensor(x), torch.tensor(labels)


def trained(qat, steps, rate=1e-2, seed=0):
    """The losses of some steps of training on patterns, the last ones with frozen ranges."""
    x, y = patterns(256, seed)
    optimizer = torch.optim.Adam(qat.parameters(), rate)
    qat.train()
    losses = []
    for step in range(steps):
        if step == steps - 2 and hasattr(qat, "freeze_ranges"):
            qat.freeze_ranges()
        loss = F.nll_loss((qat(x) + 1e-3).log(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    qat.eval()
    return losses


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return frontend.load(Small().eval(), torch.zeros(1, 1, 8, 8), "small")


def agree(qat, x, graph, exact=True):
    """The module's outputs, its `integers`, NumPy and the C are the same bytes."""
    quantized = to_graph(qat)
    port, out = models.ports(quantized)[0][0], models.ports(quantized)[1][0]
    q = arrays.quantize(x.numpy(), port)
    want = arrays.rows(interpret.run(quantized, [q])[0], out)
    [got] = qat.integers(x.numpy())
    assert got.dtype == want.dtype and got.shape == want.shape and (got == want).all()
    assert (qat.integers(q)[0] == want).all()
    with torch.no_grad():
        floats = qat(x).numpy()
    assert (floats == arrays.dequantize(want, out).reshape(floats.shape)).all()
    rows = [[one.reshape(quantized.tensors[quantized.inputs[0]].shape)] for one in q]
    expected = [[[w.reshape(quantized.tensors[quantized.outputs[0]].shape)] for w in want]]
    found = host_c([quantized], [rows])
    if exact:
        compare("host C", [quantized], [rows], expected, found, 0)
    else:
        apart = [np.abs(a[0].astype(int) - b[0]).max() for a, b in zip(expected[0], found[0], strict=True)]
        assert max(apart) <= 1


def test_bytes_after_training(small):
    x, _ = patterns(40, 7)
    qat = quantization_aware(small, patterns(64)[0].numpy())
    losses = trained(qat, 40)
    assert losses[-1] < losses[0] - 0.2
    agree(qat, x * 3, small)


@pytest.mark.parametrize("bits", [4, {"conv2d*": 2, "*": 4}])
def test_bytes_with_packed_weights(small, bits):
    qat = quantization_aware(small, patterns(64)[0].numpy(), weight_bits=bits)
    losses = trained(qat, 25)
    assert losses[-1] < losses[0] - 0.1
    weights = [t for t in to_graph(qat).tensors.values() if t.is_const and t.dtype == "int8"]
    assert {t.quant.bits for t in weights} <= {2, 4} and any(t.quant.bits == 4 for t in weights)
    agree(qat, patterns(40, 7)[0], small)


def test_bytes_partial(small):
    x, _ = patterns(40, 7)
    kept = next(n.name for n in small.nodes if n.op.name == "depthwise_conv2d")
    qat = quantization_aware(small, patterns(64)[0].numpy(), keep_float=kept)
    losses = trained(qat, 40)
    assert losses[-1] < losses[0] - 0.2
    depthwise = getattr(qat.layers, kept).weight.detach().numpy()
    assert any(np.array_equal(t.data, depthwise) for t in to_graph(qat).tensors.values() if t.dtype == "float32")
    agree(qat, x, small, exact=False)


def test_untrained_it_is_post_training_quantization(small):
    x = patterns(64)[0].numpy()
    ranges = calibrate(small, x)
    assert same_graph(to_graph(quantization_aware(small, ranges)), quantize(small, ranges))
    assert same_graph(to_graph(quantization_aware(to_module(small), ranges)), quantize(small, ranges))


@pytest.mark.parametrize("name", ZOO)
def test_zoo(name):
    module, shape = model(name)
    graph = frontend.load(module, torch.zeros(1, *shape), name)
    x = channels_last(sample(name))
    qat = quantization_aware(graph, x.numpy())
    quantized = to_graph(qat)
    q = arrays.quantize(x.numpy(), models.ports(quantized)[0][0])
    ports = models.ports(quantized)[1]
    for got, raw, port in zip(qat.integers(x.numpy()), interpret.run(quantized, [q]), ports, strict=True):
        want = arrays.rows(raw, port)
        assert got.dtype == want.dtype and got.shape == want.shape and (got == want).all()
    for mode in (qat.eval(), qat.train()):
        found = mode(x)
        sum(y.square().sum() for y in (found if isinstance(found, tuple) else (found,))).backward()
    weights = [p for n, p in qat.named_parameters() if n.endswith("weight")]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in weights)


def test_resumed_state_gives_the_same_bytes(small):
    qat = quantization_aware(small, patterns(64)[0].numpy())
    trained(qat, 4)
    again = quantization_aware(small, patterns(8, 3)[0].numpy())
    assert not same_graph(to_graph(again), to_graph(qat))
    again.load_state_dict(qat.state_dict())
    assert same_graph(to_graph(again), to_graph(qat))


def test_parametrizations_train_through_the_integers(small):
    class Mask(nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.register_buffer("mask", weight.abs() > weight.abs().median())

        def forward(self, w):
            return w * self.mask

    qat = quantization_aware(small, patterns(64)[0].numpy())
    layer = next(m for m in qat.layers.children() if hasattr(m, "weight") and m.weight.numel() > 60)
    parametrize.register_parametrization(layer, "weight", Mask(layer.weight.detach()))
    trained(qat, 3)
    name = next(n for n, (k, a) in qat.places.items() if getattr(qat.layers, k) is layer and a == "weight")
    data = to_graph(qat).tensors[name].data
    zero = ~layer.parametrizations.weight[0].mask.numpy()
    assert zero.any() and (data[zero] == 0).all() and (data != 0).any()
    module = to_module(small)
    parametrize.register_parametrization(next(module.layers.children()), "weight", nn.Identity())
    with pytest.raises(DataError, match="parametrizations"):
        quantization_aware(module, patterns(8)[0].numpy())


def test_fewer_bits_allowed_to_pytorch_change_nothing(small):
    x = patterns(16, 5)[0]
    qat = quantization_aware(small, patterns(64)[0].numpy()).eval()
    before = qat.integers(x.numpy())[0]
    with torch.no_grad():
        real_before = qat(x)
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert (qat.integers(x.numpy())[0] == before).all()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert (qat(x) == real_before).all()
    finally:
        torch.set_float32_matmul_precision(precision)


def test_refused(small):
    x = patterns(8)[0].numpy()
    with pytest.raises(DataError, match="no layer is called 'nope'"):
        quantization_aware(small, x, keep_float=["nope"])
    with pytest.raises(DataError, match="has no range"):
        quantization_aware(small, {"x": (0.0, 1.0)})
    with pytest.raises(DataError, match="its shape is"):
        quantization_aware(small, x[:, :3])
    with pytest.raises(DataError, match="is Linear"):
        quantization_aware(nn.Linear(2, 2), x)
    qat = quantization_aware(small, x)
    with pytest.raises(DataError, match="already"):
        quantization_aware(qat, x)
    with pytest.raises(UnsupportedError, match="int8"):
        quantization_aware(to_graph(qat), x)
    with pytest.raises(DataError, match="has the shape"):
        qat(torch.zeros(2, 8, 8, 3))
    assert torch.equal(qat(patterns(2)[0].numpy()), qat(patterns(2)[0]))
    with pytest.raises(DataError, match="holds NaN"):
        qat(torch.full((1, 8, 8, 1), float("nan")))
    with torch.no_grad():
        next(qat.layers.parameters())[0] = float("nan")
    with pytest.raises(TrainingError, match="NaN"):
        qat(patterns(2)[0])


@pytest.fixture(scope="module")
def handwritten():
    """(float graph, (x, y) to train and to test with), images in NHWC."""
    pytest.importorskip("sklearn")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "examples")
        import digits

    module, *splits = digits.train(8)
    graph = frontend.load(module, torch.zeros(1, 1, 8, 8))
    return graph, *((np.ascontiguousarray(x.transpose(0, 2, 3, 1)), y) for x, y in splits)


def right(module, x, y):
    """The part of the images whose class the integers, or the floats, give."""
    with torch.no_grad():
        found = module.integers(x)[0] if hasattr(module, "integers") else module(torch.tensor(x)).numpy()
    return float((found.reshape(len(y), -1).argmax(1) == y).mean())


@pytest.mark.parametrize(("bits", "allowed"), [(8, 0.01), (2, 0.25)])
def test_digits_come_near_the_float_accuracy(handwritten, bits, allowed):
    graph, train, test = handwritten
    qat = quantization_aware(graph, train[0], weight_bits=bits).eval()
    floats, untrained = right(to_module(graph).eval(), *test), right(qat, *test)
    optimizer = torch.optim.Adam(qat.parameters(), 3e-4 if bits == 8 else 1e-3)
    x, y = (torch.tensor(v) for v in train)
    qat.train()
    for step in range(30):
        if step == 20:
            qat.freeze_ranges()
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(step))[:128]
        loss = F.cross_entropy(qat(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned = right(qat.eval(), *test)
    assert learned >= floats - allowed
    # Weights of 2 bits are good for little before they are trained.
    assert bits == 8 or learned > untrained + 0.1


def test_pixels_are_numbers_and_bytes_of_the_input_are_bytes(small):
    pixels = np.random.default_rng(0).integers(0, 200, (5, 8, 8, 1)).astype(np.uint8)
    qat = quantization_aware(small, pixels.astype(np.float32))
    [want] = qat.integers(pixels.astype(np.float64))
    port = models.ports(to_graph(qat))[0][0]
    for x in (pixels, pixels.astype(np.int64), arrays.quantize(pixels.astype(np.float32), port)):
        assert (qat.integers(x)[0] == want).all(), x.dtype
    assert want.shape == (5, 10) and qat.integers(pixels[:0])[0].shape == (0, 10)
    # With the leading dimension of the network as well.
    assert (qat.integers(pixels[:, None])[0] == want).all()
    assert (qat(torch.tensor(pixels[:, None])) == qat(torch.tensor(pixels))).all()


def test_two_inputs_and_a_graph_that_moves_the_batch():
    module = Fn(lambda m, a, b: m.c(a) + b, c=conv(3, 2, 1)).eval()
    a, b = torch.randn(6, 3, 4, 5), torch.randn(6, 2, 4, 5)
    graph = frontend.load(module, (a, b))
    xs = [channels_last(v).numpy() for v in (a, b)]
    qat = quantization_aware(graph, dict(zip(graph.inputs, xs, strict=True)))
    quantized = to_graph(qat)
    q = [arrays.quantize(x, p) for x, p in zip(xs, models.ports(quantized)[0], strict=True)]
    assert (qat.integers(*xs)[0][:, None] == interpret.run(quantized, q)[0]).all()
