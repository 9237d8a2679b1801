"""Float models as float32 C, models quantized in part, and float16 weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from harness import host_c, tflm
from torch_zoo import ZOO, channels_last, model, sample

import intaglio
from intaglio import interpret, pipeline
from intaglio.emit import tflite as writer
from intaglio.errors import DataError, UnsupportedError
from intaglio.floats.run import run_float
from intaglio.frontends import tflite as reader
from intaglio.frontends import torch as frontend
from intaglio.graph import Graph, Node, Tensor, computes_in_float, float_model, verify
from intaglio.ops.dequantize import Dequantize
from intaglio.profile import relative_error
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.post_training import quantize

torch.set_num_threads(1)
MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"


@pytest.fixture(scope="module")
def floats():
    """name -> (simplified float graph, NHWC inputs)."""
    found = {}
    for name in ZOO:
        module, shape = model(name)
        graph = frontend.load(module, torch.zeros(1, *shape), f"float_{name}")
        found[name] = pipeline.executable(graph), channels_last(sample(name)).numpy()[:4]
    return found


def rows_of(graph, x):
    return [[one.reshape(graph.tensors[graph.inputs[0]].shape)] for one in x]


def test_float_c_equals_torch_within_rounding(floats):
    graphs = [graph for graph, _ in floats.values()]
    found = host_c(graphs, [rows_of(graph, x) for graph, x in floats.values()])
    for (graph, x), got in zip(floats.values(), found, strict=True):
        want = [np.concatenate(o) for o in zip(*(run_float(graph, [one[None]]) for one in x), strict=True)]
        stacked = [np.stack([row[k] for row in got]) for k in range(len(graph.outputs))]
        assert relative_error(stacked, want) < 1e-5, graph.name
        assert relative_error(interpret.run(graph, [x]), want) < 1e-5, graph.name


@pytest.mark.parametrize("name", ["ad", "ic", "kws", "vww"])
def test_real_models_equal_litert_within_rounding(name):
    path = MODELS / f"{name}_float.tflite"
    if not path.is_file():
        pytest.skip("../shared/models is not there")
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    graph = intaglio.load(path)
    # KWS holds int8 weights under float activations, which LiteRT would quantize as it runs: see DESIGN.md.
    litert = interpreter.Interpreter(model_content=writer.write(graph) if name == "kws" else path.read_bytes())
    litert.allocate_tensors()
    shape = graph.tensors[graph.inputs[0]].shape
    x = np.random.default_rng(1).uniform(-1, 1, (2, *shape)).astype(np.float32)
    want = []
    for one in x:
        litert.set_tensor(litert.get_input_details()[0]["index"], one)
        litert.invoke()
        want.append(litert.get_tensor(litert.get_output_details()[0]["index"]))
    got = list(intaglio.run(graph, "host", x).values())
    assert relative_error(got, [np.concatenate(want)]) < 1e-4


def test_inspect_says_that_batch_norms_compile():
    module, shape = model("bn_alone")
    graph = frontend.load(module, torch.zeros(1, *shape), "normed")
    assert not intaglio.inspect(graph).problems


# ---- partial quantization ---------------------------------------------------------------------------------------


def as_input(t, x):
    """Real values as the graph takes them."""
    return x if t.dtype == "float32" else np.clip(np.round(x / t.scale) + t.zero_point, -128, 127).astype(np.int8)


def as_real(t, y):
    return y if t.dtype == "float32" else (y.astype(float) - t.zero_point) * t.scale


def some(rng, graph):
    """A random half of the layers."""
    return [n.name for n in graph.nodes if rng.random() < 0.5]


def test_random_halves_in_float(floats):
    """Whatever is kept: the graph is well formed, NumPy, C and TFLM agree, and it stays close to the float model."""
    rng = np.random.default_rng(11)
    cases = []
    for name, (graph, x) in floats.items():
        ranges = calibrate(graph, x)
        q = quantize(graph, ranges, some(rng, graph))
        cases.append((replace(verify(q, "quantized"), name=f"half_{name}"), graph, x))
    assert sum(computes_in_float(q) for q, _, _ in cases) > len(cases) // 2
    feeds = [rows_of(q, as_input(q.tensors[q.inputs[0]], x)) for q, _, x in cases]
    found = host_c([q for q, _, _ in cases], feeds)
    for (q, graph, x), rows, got in zip(cases, feeds, found, strict=True):
        want = [interpret.step(q, row, {})[0] for row in rows]
        real = [np.concatenate(o) for o in zip(*(run_float(graph, [one[None]]) for one in x), strict=True)]
        for k, name in enumerate(q.outputs):
            t = q.tensors[name]
            a, b = (as_real(t, np.stack([row[k] for row in out])) for out in (want, got))
            size = np.abs(a).max() + 1e-6
            # A float rounded to the other side of a half moves an integer by one step.
            assert np.abs(a - b).max() <= 0.02 * size + (0 if t.dtype == "float32" else t.scale), q.name
            assert np.abs(a.reshape(-1) - real[k].reshape(-1)).max() <= 0.25 * np.abs(real[k]).max() + 0.05, q.name


def test_a_pattern_that_keeps_all_gives_the_float_model(floats):
    graph, x = next(iter(floats.values()))
    ranges = calibrate(graph, x)
    want = [np.concatenate([run_float(graph, [one[None]])[0] for one in x])]
    everything = quantize(graph, ranges, ["*"])
    assert float_model(everything)
    assert relative_error(interpret.run(everything, [x]), want) < 1e-5
    nothing = quantize(graph, ranges)
    assert not computes_in_float(nothing)


def test_only_the_named_layer_is_float():
    graph, x = pipeline.executable(two_layers()), np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)
    ranges = calibrate(graph, x)
    first, second = (n.name for n in graph.nodes)
    q = quantize(graph, ranges, {second})
    assert [n.op.name for n in q.nodes] == ["fully_connected", "dequantize", "fully_connected"]
    assert (q.tensors[q.inputs[0]].dtype, q.tensors[q.outputs[0]].dtype) == ("int8", "float32")
    q = quantize(graph, ranges, {first})
    assert [n.op.name for n in q.nodes] == ["fully_connected", "quantize", "fully_connected"]
    assert (q.tensors[q.inputs[0]].dtype, q.tensors[q.outputs[0]].dtype) == ("float32", "int8")
    # Both layers share their weights: as floats for the one, as integers for the other.
    kinds = {q.tensors[n.inputs[1]].dtype for n in q.nodes if n.op.name == "fully_connected"}
    assert kinds == {"float32", "int8"}
    rows = rows_of(q, x[:3])
    want = [interpret.step(q, row, {})[0][0] for row in rows]
    for got in (host_c([q], [rows]), tflm([q], [rows])):
        assert all(np.abs(a.astype(int) - b[0]).max() <= 1 for a, b in zip(want, got[0], strict=True))


def two_layers() -> Graph:
    b = tiny_models.Build("two_layers", Tensor("x", (1, 6), "float32"))
    graph = tiny_models.floats()
    b.tensors["w"] = replace(graph.tensors["w"], shape=(6, 6), data=np.resize(graph.tensors["w"].data, (6, 6)))
    op = graph.nodes[0].op
    return b.graph(b.add(op, b.add(op, "x", "w", quant=None), "w", quant=None))


def test_an_unknown_layer_is_told_with_the_nearest():
    graph = pipeline.executable(two_layers())
    ranges = calibrate(graph, np.ones((1, 6), np.float32))
    name = graph.nodes[0].name
    with pytest.raises(DataError, match="no layer is called 'fully_conected_2'") as error:
        quantize(graph, ranges, ["fully_conected_2"])
    assert name in error.value.allowed
    with pytest.raises(DataError, match="no layer is called"):
        quantize(graph, ranges, ["conv*"])


# ---- float16 weights --------------------------------------------------------------------------------------------


def half_file(monkeypatch, **changes) -> bytes:
    """`floats` with float16 weights behind DEQUANTIZE, as converters write it."""
    graph = tiny_models.floats()
    small = graph.tensors["w"].data.astype(np.float16)
    monkeypatch.setitem(writer._TYPE, "float16", 1)
    monkeypatch.setattr(writer, "verify", lambda g, stage: g)
    tensors = {
        **graph.tensors,
        "half": Tensor("half", small.shape, "float16", None, small),
        "w": replace(graph.tensors["w"], data=None, **changes),
    }
    nodes = (Node("w", Dequantize(), ("half",), ("w",)), *graph.nodes)
    return writer.write(replace(graph, nodes=nodes, tensors=tensors))


def test_float16_weights_become_floats(monkeypatch):
    graph = reader.checked(reader.parse(half_file(monkeypatch), "half.tflite", "half"), "half.tflite")
    assert [n.op.name for n in graph.nodes] == ["fully_connected"]
    w = tiny_models.floats().tensors["w"].data
    assert np.array_equal(graph.tensors["w"].data, w.astype(np.float16).astype(np.float32))
    x = np.ones((2, 6), np.float32)
    got = host_c([graph], [rows_of(graph, x)])
    assert np.allclose(np.stack([row[0] for row in got[0]]), interpret.run(graph, [x])[0], rtol=1e-6)


def test_a_float16_dequantize_that_lies_is_refused(monkeypatch):
    data = half_file(monkeypatch, shape=(6, 3))
    with pytest.raises(UnsupportedError, match=r"DEQUANTIZE \(w\): its outputs are declared"):
        reader.checked(reader.parse(data, "half.tflite", "half"), "half.tflite")
