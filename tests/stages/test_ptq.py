"""Post-training quantization: the integers stay close to the floats, and mean the same to NumPy, C and the oracle."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import compare, host_c, tflm
from torch import nn
from torch_zoo import IMAGE, NOT_IN_TFLITE, ZOO, Fn, channels_last, conv, model, sample, seq

from intaglio import interpret
from intaglio.errors import DataError, UnsupportedError
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.graph import Quant, verify
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.post_training import post_training, quantize
from intaglio.quantize.scales import affine, groups_of

torch.set_num_threads(1)


def to_int8(x, t):
    """Real values as the tensor's bytes."""
    q = np.round(np.asarray(x, np.float64) / t.scale) + t.zero_point
    return np.clip(q, -128, 127).astype(np.int8)


def real(q, t):
    return (q.astype(np.float64) - t.zero_point) * t.scale


@pytest.fixture(scope="module")
def quantized():
    """name -> (float graph, quantized graph, NHWC inputs)."""
    found = {}
    for name in ZOO:
        module, shape = model(name)
        graph = frontend.load(module, torch.zeros(1, *shape), f"zoo_{name}")
        x = channels_last(sample(name)).numpy()
        found[name] = (graph, post_training(graph, x), x)
    return found


def rows_of(graph, x):
    t = graph.tensors[graph.inputs[0]]
    rng = np.random.default_rng(3)
    rows = [[to_int8(one, t).reshape(t.shape)] for one in x[:3]]
    rows += [[np.full(t.shape, v, np.int8)] for v in (-128, 127)]
    return [*rows, [rng.choice(np.array([-128, 127], np.int8), t.shape)]]


def test_numpy_c_and_oracle_agree(quantized):
    graphs = [q for _, q, _ in quantized.values()]
    feeds = [rows_of(q, x) for _, q, x in quantized.values()]
    expected = [[interpret.step(g, row, {})[0] for row in rows] for g, rows in zip(graphs, feeds, strict=True)]
    compare("host C", graphs, feeds, expected, host_c(graphs, feeds), 0)
    judged = [i for i, g in enumerate(graphs) if g.name.removeprefix("zoo_") not in NOT_IN_TFLITE]
    pick = lambda items: [items[i] for i in judged]  # noqa: E731
    compare("oracle", pick(graphs), pick(feeds), pick(expected), tflm(pick(graphs), pick(feeds)), 0)


@pytest.mark.parametrize("name", ZOO)
def test_close_to_float(quantized, name):
    graph, q, x = quantized[name]
    verify(q, "quantized")
    floats = [np.concatenate(o) for o in zip(*(run_float(graph, [x[i : i + 1]]) for i in range(len(x))), strict=True)]
    ints = interpret.run(q, [to_int8(x, q.tensors[q.inputs[0]])])
    for out, want, got in zip(q.outputs, floats, ints, strict=True):
        t = q.tensors[out]
        assert t.dtype == "int8"
        error = np.abs(real(got, t).reshape(want.shape) - want)
        spread = max(float(want.max()), 0.0) - min(float(want.min()), 0.0)
        # A few steps through a few layers: a wrong scale or zero point is off by far more.
        assert error.mean() <= 0.015 * spread, error.mean() / spread
        assert error.max() <= 0.08 * spread, error.max() / spread


def test_specified_quantization(quantized):
    for name in ("softmax", "curves", "sigmoid_pooled", "silu"):
        q = quantized[name][1]
        for n in q.nodes:
            if n.op.name in ("softmax", "logistic"):
                assert q.tensors[n.outputs[0]].quant == Quant((1 / 256,), (-128,))
            if n.op.name == "tanh":
                assert q.tensors[n.outputs[0]].quant == Quant((1 / 128,), (0,))
    assert sum(n.op.name == "quantize" for n in quantized["curves"][1].nodes) == 2
    assert not any(n.op.name == "quantize" for n in quantized["sigmoid_pooled"][1].nodes)
    for _, q, _ in quantized.values():
        for members in groups_of(q):
            assert len({q.tensors[m].quant for m in members}) == 1
        for n in q.nodes:
            if n.op.name in ("conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv"):
                w = q.tensors[n.inputs[1]]
                axis = 3 if n.op.name == "depthwise_conv2d" else 0
                assert len(w.quant.scale) == w.shape[axis] and set(w.quant.zero_point) == {0}
                assert w.data.min() >= -127
                peaks = np.abs(np.moveaxis(w.data, axis, 0).reshape(w.shape[axis], -1).astype(int)).max(axis=1)
                assert (peaks == 127).all(), name


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [(0.0, 6.0, 6 / 255, -128), (-1.0, 1.0, 2 / 255, 0), (2.0, 5.1, 5.1 / 255, -128), (-3.0, -1.0, 3 / 255, 127),
     (0.0, 0.0, 1.0, 0), (-1e-35, 1e-35, 1.0, 0)],
)  # fmt: skip
def test_affine(low, high, scale, zero_point):
    found = affine(low, high)
    assert found.scale[0] == pytest.approx(scale, rel=1e-6) and abs(found.zero_point[0] - zero_point) <= (low == -1.0)


def awkward(kind):
    """Convolutions with weights that break naive quantizers."""
    module = seq(conv(2, 4, 1), nn.ReLU(), conv(4, 3, 1))
    with torch.no_grad():
        first = module[0]
        if kind == "zero channel":
            first.weight[1] = 0
            first.bias[1] = 0.37
        elif kind == "all zero":
            for p in module.parameters():
                p.zero_()
        elif kind == "huge bias":
            first.bias[:] = torch.tensor([3e6, -3e6, 3.0, 0.0])
        elif kind == "tiny weights":
            first.weight.mul_(1e-20)
        elif kind == "dead output":
            first.bias[:] = -1e3
    return module


@pytest.mark.parametrize("kind", ["zero channel", "all zero", "huge bias", "tiny weights", "dead output"])
def test_awkward_weights(kind):
    graph = frontend.load(awkward(kind), torch.zeros(1, 2, 4, 4))
    x = np.random.default_rng(1).normal(size=(8, 4, 4, 2)).astype(np.float32)
    q = post_training(graph, x)
    rows = rows_of(q, x)
    expected = [[interpret.step(q, row, {})[0] for row in rows]]
    compare("host C", [q], [rows], expected, host_c([q], [rows]), 0)
    compare("oracle", [q], [rows], expected, tflm([q], [rows]), 0)
    if kind == "zero channel":
        conv1 = next(n for n in q.nodes if n.op.name == "conv2d")
        bias = q.tensors[conv1.inputs[2]]
        assert bias.data[1] * bias.quant.scale[1] == pytest.approx(0.37, rel=0.01)


@pytest.mark.parametrize(("name", "weight", "size"), [("curves", 1, 1e-6), ("residual", 1e-8, 1e4), ("silu", 1e3, 1e3)])
def test_extreme_magnitudes(name, weight, size):
    module, shape = model(name)
    module = copy.deepcopy(module)  # the zoo's is shared
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(weight)
    q = post_training(frontend.load(module, torch.zeros(1, *shape)), channels_last(sample(name)).numpy() * size)
    rows = rows_of(q, channels_last(sample(name)).numpy() * size)
    expected = [[interpret.step(q, row, {})[0] for row in rows]]
    compare("host C", [q], [rows], expected, host_c([q], [rows]), 0)
    if name not in NOT_IN_TFLITE:
        compare("oracle", [q], [rows], expected, tflm([q], [rows]), 0)


def test_percentile_ignores_outliers():
    graph = frontend.load(conv(1, 2, 1), torch.zeros(1, 1, 4, 4))
    x = np.random.default_rng(1).uniform(-1, 1, (200, 4, 4, 1)).astype(np.float32)
    x[3, 2, 1, 0] = 500.0
    name = graph.inputs[0]
    wide, narrow = calibrate(graph, x)[name], calibrate(graph, x, "percentile", 99.9)[name]
    assert wide[1] == 500.0
    # Bins are a 8192nd of what was seen.
    assert -1.1 < narrow[0] <= -0.9 and 0.9 <= narrow[1] < 1.1
    assert calibrate(graph, x, "percentile", 100.0) == calibrate(graph, x)
    for bad in ({"method": "magic"}, {"percentile": 20.0}):
        with pytest.raises(DataError):
            calibrate(graph, x, **bad)


def test_same_ranges_from_every_form_of_data(tmp_path):
    graph = frontend.load(conv(1, 2, 1), torch.zeros(1, 1, 4, 4))
    x = np.random.default_rng(1).normal(size=(70, 4, 4, 1)).astype(np.float32)
    name = graph.inputs[0]
    np.savez(tmp_path / "a.npz", **{name: x, "y": np.zeros(3)})
    np.savez(tmp_path / "b.npz", x=x)
    forms = [x, x.astype(np.float64), x[:, None], torch.tensor(x), {name: x}, {"x": x}, tmp_path / "a.npz"]
    forms += [str(tmp_path / "b.npz"), list(x), [(one,) for one in x], iter(x), (one[None] for one in x)]
    wanted = calibrate(graph, x)
    for form in forms:
        found = calibrate(graph, form)
        assert list(found) == list(wanted)
        np.testing.assert_allclose(list(found.values()), list(wanted.values()), rtol=1e-6)


BAD_DATA = [
    (lambda x: x[:, :3], r"shape is \[5, 3, 4, 1\].*\[n, 4, 4, 1\].*height, width, channels"),
    (lambda x: x.transpose(0, 3, 1, 2), "shape"),
    (lambda x: (x * 100).astype(np.int8), "dtype is int8.*float"),
    (lambda x: x.astype(complex), "dtype is complex"),
    (lambda x: np.where(x > 1, np.nan, x), "NaN"),
    (lambda x: np.where(x > 1, np.inf, x).astype(np.float32), "sample .* infinite"),
    (lambda x: x.astype(np.float64) * 1e60, "float32"),
    (lambda x: x[:0], "no sample"),
    (lambda x: [], "no sample"),
    (lambda x: [x[0], x[1][:2]], "sample 1"),
    (lambda x: {"other": x}, "holds no array"),
    (lambda x: 3, "is int"),
    (lambda x: ["text"], "sample 0.*is str"),
    (lambda x: [None], "NoneType"),
]


@pytest.mark.parametrize(("spoil", "said"), BAD_DATA)
def test_bad_calibration_data(spoil, said):
    graph = frontend.load(conv(1, 2, 1), torch.zeros(1, 1, 4, 4))
    x = np.random.default_rng(1).normal(size=(5, 4, 4, 1)) * 2
    with pytest.raises(DataError, match=said):
        calibrate(graph, spoil(x), source="the data")


def test_bad_calibration_files(tmp_path):
    graph = frontend.load(conv(1, 2, 1), torch.zeros(1, 1, 4, 4))
    good = np.zeros((2, 4, 4, 1), np.float32)
    path = tmp_path / "x.npz"

    def said(what):
        with pytest.raises(DataError, match=what) as e:
            calibrate(graph, path)
        assert "x.npz" in str(e.value)

    said("cannot be read")
    path.write_bytes(b"")
    said("is not an .npz")
    path.write_bytes(b"PK\x03\x04 not a zip")
    said("is not an .npz")
    np.savez(path, wrong=good)
    said("no array")
    np.savez(path, x=np.array([None, "a"], object))
    said("has dtype object")
    np.savez(path, x=np.full((2, 4, 4, 1), np.nan))
    said("array input.*NaN")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    said("is not an .npz")
    with path.open("wb") as f:
        np.save(f, good)
    said("npz")


def test_quantize_needs_floats_and_ranges():
    graph = frontend.load(conv(1, 2, 1), torch.zeros(1, 1, 4, 4))
    x = np.zeros((2, 4, 4, 1), np.float32)
    with pytest.raises(DataError, match="no range"):
        quantize(graph, {})
    with pytest.raises(UnsupportedError, match="int8"):
        quantize(post_training(graph, x), calibrate(graph, x))


def test_two_inputs():
    module = Fn(lambda m, a, b: m.c(a) + b, c=conv(3, 2, 1)).eval()
    a, b = torch.randn(6, *IMAGE), torch.randn(6, 2, 8, 6)
    graph = frontend.load(module, (a, b))
    xs = [channels_last(v).numpy() for v in (a, b)]
    q = post_training(graph, dict(zip(graph.inputs, xs, strict=True)))
    assert calibrate(graph, list(zip(*xs, strict=True))) == calibrate(graph, dict(zip(graph.inputs, xs, strict=True)))
    [got] = interpret.run(q, [to_int8(x, q.tensors[n]) for x, n in zip(xs, q.inputs, strict=True)])
    want = channels_last(module(a, b)).detach().numpy()
    assert np.abs(real(got, q.tensors[q.outputs[0]]).reshape(want.shape) - want).max() < 0.1
    for bad in (xs[0], {graph.inputs[0]: xs[0]}, dict(zip(graph.inputs, (xs[0], xs[1][:2]), strict=True))):
        with pytest.raises(DataError):
            calibrate(graph, bad)


def test_digits_end_to_end(monkeypatch):
    """Issue 2, must show 4, on the host: the whole test split, NumPy = C = oracle, within a point of the floats."""
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    import digits

    module, (x_train, _), (x_test, y_test) = digits.train()
    graph = digits.to_int8(module, x_train)
    assert not any(n.op.name in ("transpose", "quantize") for n in graph.nodes)
    accuracy = digits.float_accuracy(module, (x_test, y_test))
    assert accuracy >= 0.9
    x = digits.quantized(graph, x_test)
    [expected] = interpret.run(graph, [x])
    assert digits.accuracy(expected, y_test) >= accuracy - 0.015
    rows = [[one[None]] for one in x]
    wanted = [[[e] for e in expected]]
    compare("host C", [graph], [rows], wanted, host_c([graph], [rows]), 0)
    compare("oracle", [graph], [rows], wanted, tflm([graph], [rows]), 0)


SHARED = Path(__file__).parents[3] / "shared"


@pytest.mark.skipif(not (SHARED / "models/kws_float.tflite").exists(), reason="needs ../shared/models")
def test_float_tflite_is_quantized_too():
    from intaglio.frontends import tflite

    ready = tflite.load(SHARED / "models/kws_int8.tflite")
    t = ready.tensors[ready.inputs[0]]
    with np.load(SHARED / "data/kws01.npz") as features:  # int8, quantized as the int8 model's input
        raw, labels = features["x"], features["y"]
    floats = tflite.load(SHARED / "models/kws_float.tflite")
    shape = floats.tensors[floats.inputs[0]].shape
    x = real(raw, t).astype(np.float32).reshape(-1, *shape[1:])
    q = post_training(floats, x[:100])
    [want] = run_float(simplify(floats), [x[:200]])
    ints = to_int8(x[:200], q.tensors[q.inputs[0]])
    [got] = interpret.run(q, [ints])
    top = got.reshape(200, -1).argmax(1)
    assert (top == want.argmax(1)).mean() >= 0.95
    assert (top == labels[:200]).mean() >= 0.88
    rows = [[one.reshape(shape)] for one in ints[:8]]
    compare("oracle", [q], [rows], [[[g] for g in got[:8]]], tflm([q], [rows]), 0)
