"""16x8 post-training quantization: NumPy = C = oracle on whole models, nearer to the floats than int8; and partial."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import compare, host_c, tflm
from torch_zoo import NOT_IN_TFLITE, ZOO, channels_last, model, sample, seq

import intaglio
from intaglio import interpret
from intaglio.emit import tflite as writer
from intaglio.errors import DataError, UnsupportedError
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import tflite as reader
from intaglio.frontends import torch as frontend
from intaglio.graph import INT_RANGE, Quant, computes_in_float
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.correct_bias import correct_bias
from intaglio.quantize.explain import explain
from intaglio.quantize.post_training import post_training, quantize
from intaglio.quantize.scales import symmetric

torch.set_num_threads(1)
INT8_ALONE = {"silu": ["silu"], "negate_square": ["neg", "square"], "extremes": ["neg"]}
"""What the zoo has that no int16 kernel computes, by the operators."""
X = np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype(np.float32)
SHARED = Path(__file__).parents[3] / "shared"
M4 = "qemu-mps2-an386"
need_m4 = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
    reason="arm-none-eabi-gcc or qemu-system-arm is not installed",
)


def as_input(x, t):
    """Real values as the tensor holds them."""
    if t.dtype == "float32":
        return x
    return np.clip(np.round(x.astype(np.float64) / t.scale) + t.zero_point, *INT_RANGE[t.dtype]).astype(t.dtype)


def as_real(y, t):
    return y if t.dtype == "float32" else (y.astype(np.float64) - t.zero_point) * t.scale


def rows_of(graph, x, extremes=True):
    t = graph.tensors[graph.inputs[0]]
    rows = [[as_input(one, t).reshape(t.shape)] for one in x[:3]]
    if extremes and t.dtype == "int16":
        rows += [[np.full(t.shape, v, np.int16)] for v in INT_RANGE["int16"]]
    return rows


def float_outputs(graph, x):
    return [np.concatenate(o) for o in zip(*(run_float(graph, [one[None]]) for one in x), strict=True)]


def sqnr(want, got):
    error = float(((np.asarray(want, np.float64) - np.reshape(got, np.shape(want))) ** 2).sum())
    return 10 * np.log10(max(float((np.asarray(want, np.float64) ** 2).sum()), 1e-30) / max(error, 1e-30))


WIDE = [name for name in ZOO if name not in INT8_ALONE]


@pytest.fixture(scope="module")
def zoo():
    """name -> (float graph, quantized graph, NHWC inputs)."""
    found = {}
    for name in WIDE:
        graph, x = of_zoo(name)
        found[name] = (graph, post_training(graph, x, activation_bits=16), x)
    return found


def of_zoo(name):
    module, shape = model(name)
    return frontend.load(module, torch.zeros(1, *shape), f"wide_{name}"), channels_last(sample(name)).numpy()


def test_numpy_c_and_oracle_agree(zoo):
    graphs = [q for _, q, _ in zoo.values()]
    feeds = [rows_of(q, x) for _, q, x in zoo.values()]
    expected = [[interpret.step(g, row, {})[0] for row in rows] for g, rows in zip(graphs, feeds, strict=True)]
    compare("host C", graphs, feeds, expected, host_c(graphs, feeds), 0)
    judged = [i for i, g in enumerate(graphs) if g.name.removeprefix("wide_") not in NOT_IN_TFLITE]
    pick = lambda items: [items[i] for i in judged]  # noqa: E731
    compare("oracle", pick(graphs), pick(feeds), pick(expected), tflm(pick(graphs), pick(feeds)), 0)


@pytest.mark.parametrize("name", WIDE)
def test_specified_quantization_and_close_to_float(zoo, name):
    graph, q, x = zoo[name]
    for n in q.nodes:
        assert all(q.tensors[t].dtype == "int16" and q.tensors[t].zero_point == 0 for t in n.outputs)
        if n.op.name in ("softmax", "logistic", "tanh"):
            assert q.tensors[n.outputs[0]].quant == Quant((1 / 32768,), (0,))
        if n.op.name in ("conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv"):
            assert [q.tensors[t].dtype for t in n.inputs[1:]] == ["int8", "int64"]
    got = interpret.run(q, [as_input(x, q.tensors[q.inputs[0]])])
    for out, want, ints in zip(q.outputs, float_outputs(graph, x), got, strict=True):
        t = q.tensors[out]
        spread = max(float(want.max()), 0.0) - min(float(want.min()), 0.0)
        # What is left is the rounding of weights; where there are none, of 16 bits.
        bound = 0.01 if any(n.op.name.endswith(("conv2d", "connected", "conv")) for n in q.nodes) else 5e-4
        assert np.abs(as_real(ints, t).reshape(want.shape) - want).mean() <= bound * spread


def network():
    torch.manual_seed(2)
    nn = torch.nn
    module = seq(nn.Conv2d(3, 8, 3), nn.Hardswish(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4),
                 nn.Softmax(1))  # fmt: skip
    return simplify(frontend.load(module.eval(), torch.zeros(1, 3, 8, 8), "net"))


def test_nearer_to_the_floats_than_int8():
    graph = network()
    [want] = float_outputs(graph, X)
    found = {}
    for bits in (8, 16):
        q = post_training(graph, X, activation_bits=bits)
        [got] = interpret.run(q, [as_input(X, q.tensors[q.inputs[0]])])
        found[bits] = sqnr(want, as_real(got, q.tensors[q.outputs[0]]))
    assert found[16] > found[8] + 6


def test_hard_swish_becomes_its_parts():
    module = seq(torch.nn.Hardswish()).eval()
    graph = simplify(frontend.load(module, torch.zeros(1, 2, 8, 8), "swish"))
    x = np.linspace(-5, 5, 20 * 128).astype(np.float32).reshape(20, 8, 8, 2)
    assert [n.op.name for n in graph.nodes] == ["hard_swish"]
    q = post_training(graph, x, activation_bits=16)
    assert [n.op.name for n in q.nodes] == ["add", "mul", "mul"]
    [got] = interpret.run(q, [as_input(x, q.tensors[q.inputs[0]])])
    assert sqnr(float_outputs(graph, x)[0], as_real(got, q.tensors[q.outputs[0]])) > 75


def test_the_file_is_read_back_and_loads_in_litert():
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    q = post_training(network(), X, activation_bits=16, bias_corrected=False)
    data = writer.write(q)
    again = reader.parse(data, "again", "again")
    ints = as_input(X[:5], q.tensors[q.inputs[0]])
    want = interpret.run(q, [ints])[0]
    assert np.array_equal(interpret.run(again, [ints])[0], want)
    litert = interpreter.Interpreter(model_content=data)
    litert.allocate_tensors()
    for one, row in zip(ints, want, strict=True):
        litert.set_tensor(litert.get_input_details()[0]["index"], one[None])
        litert.invoke()
        got = litert.get_tensor(litert.get_output_details()[0]["index"])
        assert np.abs(got.astype(int).ravel() - row.astype(int).ravel()).max() <= 64  # its kernels round otherwise


# ---- partial, report, bias correction ---------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16])
def test_random_halves_in_float(bits):
    """The borders are in place wherever they fall, also around a HARD_SWISH in parts; C agrees."""
    graph = network()
    ranges = calibrate(graph, X)
    names = [n.name for n in graph.nodes]
    [want] = float_outputs(graph, X[:3])
    made = []
    for i in range(6):
        rng = np.random.default_rng(i)
        keep = [n for n in names if rng.random() < 0.5] or names[:1]
        made.append(replace(quantize(graph, ranges, keep, activation_bits=bits), name=f"part_{bits}_{i}"))
    feeds = [rows_of(q, X, extremes=False) for q in made]
    for q, rows, got in zip(made, feeds, host_c(made, feeds), strict=True):
        assert computes_in_float(q)
        t = q.tensors[q.outputs[0]]
        reference = np.stack([interpret.step(q, row, {})[0][0] for row in rows])
        assert np.abs(as_real(np.stack([g[0] for g in got]), t) - as_real(reference, t)).max() < 0.02
        assert sqnr(want, as_real(reference, t)) > 20


@pytest.mark.parametrize("bits", [8, 16])
def test_bias_correction_and_report_of_a_partial_model(bits):
    graph = network()
    kept = next(n.name for n in graph.nodes if n.op.name == "fully_connected")
    ranges = calibrate(graph, X)
    q = quantize(graph, ranges, [kept], activation_bits=bits)
    corrected = correct_bias(graph, q, [X])
    before, after = ({n.name: n for n in g.nodes} for g in (graph, corrected))
    assert before[kept].inputs == after[kept].inputs
    assert all(":corrected:" in after[n].inputs[2] for n in before if before[n].op.name == "conv2d")
    assert post_training(graph, X, keep_float=[kept], activation_bits=bits).nodes
    report = explain(graph, q, [X])
    layers = {r.name: r for r in report.layers}
    assert layers[kept].saturated == 0 and layers[kept].alone_db == 120
    [want] = float_outputs(graph, X[:32])
    [got] = interpret.run(q, [as_input(X[:32], q.tensors[q.inputs[0]])])
    assert report.output_db == pytest.approx(sqnr(want, as_real(got, q.tensors[q.outputs[0]])), abs=0.05)


def test_report_of_int16():
    graph = network()
    q = post_training(graph, X, activation_bits=16)
    report = explain(graph, q, [X])
    [want] = float_outputs(graph, X[:32])
    [got] = interpret.run(q, [as_input(X[:32], q.tensors[q.inputs[0]])])
    assert report.output_db == pytest.approx(sqnr(want, as_real(got, q.tensors[q.outputs[0]])), abs=0.05)
    t = q.tensors[q.inputs[0]]
    uniform = 10 * np.log10((X[:32].astype(float) ** 2).mean() / (t.scale**2 / 12))
    assert report.layers[0].sqnr_db == pytest.approx(uniform, abs=0.5)
    assert all(r.saturated == 0 for r in report.layers)


# ---- what is refused, and the whole way -------------------------------------------------------------------------


@pytest.mark.parametrize("name", INT8_ALONE)
def test_operators_of_int8_alone_are_refused_by_name(name):
    graph, x = of_zoo(name)
    with pytest.raises(UnsupportedError, match="is int16; int8 and float32 are supported") as caught:
        post_training(graph, x, activation_bits=16)
    assert [problem.split(" (")[0] for problem in caught.value.problems] == INT8_ALONE[name]


@pytest.mark.parametrize("weight_bits", [4, 2])
def test_weights_of_few_bits_are_refused_by_name(weight_bits):
    """No runtime has them beside int16 activations."""
    with pytest.raises(DataError, match=f"weight_bits: are {weight_bits} with activation_bits 16"):
        post_training(network(), X, activation_bits=16, weight_bits={"*": 8, "conv2d*": weight_bits})
    graph = simplify(network())
    said = f"weights have {weight_bits} bits and its activations 16"
    with pytest.raises(UnsupportedError, match=said) as caught:
        quantize(graph, calibrate(graph, X), activation_bits=16, weight_bits=weight_bits)
    assert [p.split(" (")[0] for p in caught.value.problems] == ["conv2d", "conv2d", "fully_connected"]


@pytest.mark.parametrize("method", ["mse", "entropy"])
def test_methods_for_8_bits_are_refused(method):
    with pytest.raises(DataError, match="16-bit"):
        post_training(network(), X, method, activation_bits=16)


def test_options_that_do_not_exist_are_named():
    for option, value in (("activation_bits", 12), ("rounding", "up")):
        with pytest.raises(DataError, match=option):
            post_training(network(), X, **{option: value})


def test_int32_bias_is_refused_by_name():
    q = post_training(network(), X, activation_bits=16)
    bias = q.tensors[next(n for n in q.nodes if n.op.name == "conv2d").inputs[2]]
    narrow = replace(bias, dtype="int32", data=bias.data.astype(np.int32))
    with pytest.raises(UnsupportedError, match="int64"):
        intaglio.pipeline.lower(replace(q, tensors={**q.tensors, bias.name: narrow}))


def test_symmetric():
    assert symmetric(-2.0, 1.0) == Quant((float(np.float32(2 / 32767)),), (0,))
    assert symmetric(0.0, 0.0) == Quant((1.0,), (0,))


@need_m4
def test_digits_end_to_end(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    import digits

    module, (x_train, _), (x_test, y_test) = digits.train()
    graph = frontend.load(module, torch.zeros(1, 1, 8, 8), "digits")
    floats = digits.float_accuracy(module, (x_test, y_test))
    x_train, x_test = digits.nhwc(x_train[:256]), digits.nhwc(x_test)
    right = {}
    for bits in (8, 16):
        q = post_training(graph, x_train, activation_bits=bits)
        x = as_input(x_test, q.tensors[q.inputs[0]])
        [ints] = intaglio.run(q, "host", x).values()
        right[bits] = int((ints.reshape(len(x), -1).argmax(1) == y_test).sum())
    # With activations of 16 bits, what is lost is what the weights of 8 bits lose.
    assert right[16] >= (floats - 0.01) * len(x) and right[8] >= (floats - 0.015) * len(x)
    [ints] = interpret.run(q, [x[:60]])
    rows, wanted = [[one[None]] for one in x[:60]], [[[e] for e in ints]]
    compare("host C", [q], [rows], wanted, host_c([q], [rows]), 0)
    compare("oracle", [q], [rows], wanted, tflm([q], [rows]), 0)
    [found] = intaglio.run(q, M4, x[:8]).values()
    assert np.array_equal(found.reshape(ints[:8].shape), ints[:8])


@need_m4
@pytest.mark.parametrize("name", ["kws", "ic"])
def test_mlperf_tiny_models(name):
    """On inputs of noise; benchmarks/ptq.py has their accuracy."""
    path = SHARED / "models" / f"{name}_float.tflite"
    if not path.is_file():
        pytest.skip("../shared/models is not there")
    graph = intaglio.load(path)
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    x = np.random.default_rng(1).uniform(0, 255 if name == "ic" else 8, (12, *shape)).astype(np.float32)
    q = post_training(graph, x, activation_bits=16)
    ints = as_input(x[:3], q.tensors[q.inputs[0]])
    [want] = interpret.run(q, [ints])
    rows = [[one[None]] for one in ints]
    compare("host C", [q], [rows], [[[w] for w in want]], host_c([q], [rows]), 0)
    compare("oracle", [q], [rows], [[[w] for w in want]], tflm([q], [rows]), 0)
    [found] = intaglio.run(q, M4, ints[:1]).values()
    assert np.array_equal(found.reshape(-1), want[0].reshape(-1))
