"""ONNX -> Graph: onnxruntime's numbers, float and quantized; what is unsupported and what is hostile, refused."""

import io
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import onnx_models
import pytest
import torch
from harness import compare, host_c, tflm
from onnx import TensorProto, helper, numpy_helper
from onnx_idioms import IDIOMS, W, check_float, in_memory_order, input_shape, int8_rows, nhwc, one
from onnx_models import build, node, rng_array
from torch_zoo import ZOO, model, sample
from typer.testing import CliRunner

from intaglio import extras, interpret, pipeline
from intaglio.cli import app
from intaglio.errors import ModelError, ToolError, UnsupportedError
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import onnx as frontend
from intaglio.quantize.post_training import post_training
from intaglio.summary import summarize

torch.set_num_threads(1)
MOVED = {
    "flatten_out": 1,
    "sigmoid_pooled": 1,
    "flatten_add": 1,
    "shuffle": 1,
    "select": 1,
    "conv1d": 2,
    "conv1d_plain": 1,
}
"""As many transposes as from PyTorch itself: see test_torch_frontend.py."""


def exported(name, opset):
    module, shape = model(name)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, torch.zeros(1, *shape), file, dynamo=False, opset_version=opset, input_names=["x"])
    return module, file.getvalue()


@pytest.mark.parametrize("name", ZOO)
def test_same_numbers_as_exported(name):
    opset = (11, 13, 18)[sum(map(ord, name)) % 3]
    module, data = exported(name, opset)
    x = sample(name, 1).numpy()
    if name == "conv_same_dilated":  # onnxruntime does not run what torch exports
        graph = simplify(frontend.parse(data, "model.onnx", name))
        want = in_memory_order(graph, [module(torch.tensor(x)).detach().numpy()])
        np.testing.assert_allclose(run_float(graph, [nhwc(x)])[0], want[0], rtol=1e-5, atol=1e-5)
    else:
        graph = check_float(data, x)
    assert sum(n.op.name == "transpose" for n in graph.nodes) == MOVED.get(name, 0)


def test_outputs_keep_their_names():
    """Of tensors that are arranged, quantized, shared by two outputs, or the input itself."""
    for name, outputs in (("cnn", ("y",)), ("split_attribute", ("y", "z")), ("shape_chain_17", ("y",))):
        assert frontend.parse(IDIOMS[name], "m.onnx", "m").outputs == outputs
    assert frontend.parse(onnx_models.qdq(), "m.onnx", "m").outputs == ("y",)
    nodes = [node("Relu", "x", "a"), node("Flatten", "a", "y"), node("Identity", "a", "b"), node("Identity", "x", "c")]
    data = build(nodes, {"x": [1, 4, 3, 2]}, {"y": [1, 24], "a": [1, 4, 3, 2], "b": [1, 4, 3, 2], "c": [1, 4, 3, 2]})
    assert check_float(data, rng_array(1, 1, 4, 3, 2)).outputs == ("y", "b", "b", "x")


@pytest.mark.parametrize("name", IDIOMS)
def test_idioms(name):
    data = IDIOMS[name]
    graph = check_float(data, rng_array(9, *input_shape(data)))
    if name in ("matmul_add", "gemm_scaled", "conv_1d", "weights_are_integers"):
        assert sum(n.op.macs(graph.ins(n), graph.outs(n)) > 0 for n in graph.nodes) == 1
        assert not any(n.op.name in ("add", "dequantize") for n in graph.nodes)


LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.parametrize("name", ["densenet121", "shufflenet", "squeezenet"])
def test_networks_of_the_onnx_package(name):
    """Real architectures (operator set 9, converted) whose weights are made by ConstantOfShape: all weights alike."""
    path = LIGHT / f"light_{name}.onnx"
    if not path.is_file():
        pytest.skip("the onnx package has no such file")
    data = onnx.version_converter.convert_version(onnx.load(path), 13).SerializeToString()
    graph = simplify(frontend.parse(data, path.name, name))
    x = np.abs(rng_array(1, 1, 3, *graph.tensors[graph.inputs[0]].shape[1:3]))
    [want] = in_memory_order(graph, onnx_models.run(data, x))
    [got] = run_float(graph, [nhwc(x)])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


def agree(graphs, feeds):
    """NumPy = host C = oracle, byte for byte."""
    expected = [[interpret.step(g, row, {})[0] for row in rows] for g, rows in zip(graphs, feeds, strict=True)]
    compare("host C", graphs, feeds, expected, host_c(graphs, feeds), 0)
    compare("oracle", graphs, feeds, expected, tflm(graphs, feeds), 0)


def test_calibrated_to_int8():
    graphs, feeds = [], []
    for name in ("cnn", "matmul_add", "conv_1d", "conv_same_lower"):
        graph = frontend.parse(IDIOMS[name], "model.onnx", name)
        shape = input_shape(IDIOMS[name])
        x = rng_array(3, 6, *shape[1:])
        graphs.append(post_training(graph, nhwc(x)))
        feeds.append(int8_rows(graphs[-1], x))
    agree(graphs, feeds)


QUANTIZED = {
    f"{'decimal' if decimal else 'plain'}_{np.dtype(kind).name}_{opset}": onnx_models.qdq(kind, opset, decimal)
    for decimal in (False, True) for kind in (np.int8, np.uint8) for opset in (13, 19)
}  # fmt: skip


def qlinear():
    """QLinearConv on uint8 from an integer input to an integer output, MaxPool on integers between."""
    weights = np.random.default_rng(2).integers(-60, 60, (3, 2, 3, 3))
    constants = {
        "xs": np.float32(0.07), "xz": np.uint8(120), "w": weights.astype(np.int8),
        "ws": np.array([0.01, 0.02, 0.03], np.float32), "wz": np.zeros(3, np.int8), "ys": np.float32(0.14),
        "yz": np.uint8(100), "b": np.array([100, -300, 20], np.int32),
    }  # fmt: skip
    nodes = [node("QLinearConv", "x xs xz w ws wz ys yz b", "c", pads=[1, 1, 1, 1]),
             node("MaxPool", "c", "y", kernel_shape=[2, 2], strides=[2, 2])]  # fmt: skip
    kinds = ([1, 2, 6, 4], TensorProto.UINT8), ([1, 3, 3, 2], TensorProto.UINT8)
    return build(nodes, {"x": kinds[0]}, {"y": kinds[1]}, constants)


def test_quantized_models():
    """Within one step of onnxruntime on the model as it is written, and the same bytes from NumPy, C and the oracle."""
    graphs, feeds = [], []
    for name, data in QUANTIZED.items():
        graph = frontend.parse(onnx_models.checked(data), "model.onnx", name)
        assert all(t.dtype in ("int8", "int32") for t in graph.tensors.values())
        assert [n.op.name for n in graph.nodes] == ["conv2d", "add", "mean", "reshape", "fully_connected"]
        conv = graph.tensors[graph.nodes[0].inputs[1]]
        stored = {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(data).graph.initializer}
        np.testing.assert_array_equal(conv.data, stored["w_q"].transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(graph.tensors[graph.nodes[0].inputs[2]].data, stored["b_q"])
        x = rng_array(4, 8, 4, 6, 5) * 3
        rows = int8_rows(graph, x)
        t = graph.tensors[graph.outputs[0]]
        for row, v in zip(rows, x, strict=True):
            [want] = onnx_models.run(data, v[None], exact=True)
            got = (interpret.step(graph, row, {})[0][0].astype(float) - t.zero_point) * t.scale
            assert np.abs(got - want).max() <= 1.01 * t.scale
        graphs.append(graph)
        feeds.append(rows)
    graph = frontend.parse(onnx_models.checked(qlinear()), "model.onnx", "qlinear")
    assert [graph.tensors[n].dtype for n in (*graph.inputs, *graph.outputs)] == ["uint8", "uint8"]
    x = np.random.default_rng(3).integers(0, 256, (6, 1, 2, 6, 4)).astype(np.uint8)
    rows = [[nhwc(v)] for v in x]
    for row, v in zip(rows, x, strict=True):
        [want] = onnx_models.run(qlinear(), v)
        assert np.abs(interpret.step(graph, row, {})[0][0].astype(int) - nhwc(want).astype(int)).max() <= 1
    agree([*graphs, graph], [*feeds, rows])


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_models_that_onnxruntime_quantized(form, tmp_path):
    from onnxruntime import quantization as q

    class Reader(q.CalibrationDataReader):
        def __init__(self, x):
            self.rows = iter([{"x": v[None]} for v in x])

        def get_next(self):
            return next(self.rows, None)

    graphs, feeds = [], []
    for name in ("residual", "flatten_linear", "unet" if form == "QDQ" else "cat_height", "softmax"):
        (tmp_path / "a.onnx").write_bytes(exported(name, 13)[1])
        x = sample(name, 8).numpy()
        q.quantize_static(
            tmp_path / "a.onnx", tmp_path / "q.onnx", Reader(x), quant_format=q.QuantFormat[form], per_channel=True,
            activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8, reduce_range=True,
        )  # fmt: skip
        graph = pipeline.load(tmp_path / "q.onnx")
        rows = int8_rows(graph, x)
        t = graph.tensors[graph.outputs[0]]
        for row, v in zip(rows, x, strict=True):
            [want] = in_memory_order(graph, onnx_models.run((tmp_path / "q.onnx").read_bytes(), v[None], exact=True))
            got = (interpret.step(graph, row, {})[0][0].astype(float) - t.zero_point) * t.scale
            assert np.abs(got - want).max() <= 1.01 * t.scale, name
        graphs.append(graph)
        feeds.append(rows)
    agree([replace(graph, name=f"q_{k}") for k, graph in enumerate(graphs)], feeds)


def test_incomplete_quantization_is_named():
    data = onnx.load_model_from_string(onnx_models.qdq())
    kept = [n for n in data.graph.node if n.output[0] not in ("a_q", "a_d")]
    for n in kept:
        n.input[:] = ["a" if i == "a_d" else i for i in n.input]
    del data.graph.node[:]
    data.graph.node.extend(kept)
    with pytest.raises(UnsupportedError, match=r"a: no QuantizeLinear") as e:
        frontend.parse(data.SerializeToString(), "m.onnx", "m")
    assert len(e.value.problems) == 1


def test_everything_unsupported_is_listed_at_once():
    nodes = [node("Erf", "x", "a"), node("Mish", "a", "b"), node("Relu", "b", "c"),
             node("LSTM", "x", "d"), node("Add", "c d", "e"),
             node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[2, 2]),
             helper.make_node("Odd", ["x"], ["z"], domain="my.domain")]  # fmt: skip
    with pytest.raises(UnsupportedError) as e:
        frontend.parse(build(nodes, {"x": [1, 4, 6, 5]}, {"y": [1], "e": [1], "z": [1]}), "m.onnx", "m")
    said = str(e.value)
    assert len(e.value.problems) == 5
    for part in ("Erf (a)", "HardSwish", "LSTM", "dilated", "my.domain", "intaglio ops"):
        assert part in said


def if_model():
    branch = helper.make_graph([node("Relu", "x", "r")], "b", [], [helper.make_tensor_value_info("r", 1, None)])
    return build([node("If", "flag", "y", then_branch=branch, else_branch=branch)], {"x": [1, 4]}, {"y": [1, 4]},
                 {"flag": np.array(True)})  # fmt: skip


REFUSED = {
    "If .*graph of its own": if_model(),
    "is dynamic; fix all but the batch": build([node("Relu", "x", "y")], {"x": [None, None, 6, 5]}, {"y": [1]}),
    "batch is 3": build([node("Relu", "x", "y")], {"x": [3, 4]}, {"y": [3, 4]}),
    "its type is int64": build([node("Cast", "x", "y", to=1)], {"x": ([1, 4], TensorProto.INT64)}, {"y": [1, 4]}),
    "operator set 9": build([node("Relu", "x", "y")], {"x": [1, 4]}, {"y": [1, 4]}, opset=9),
    "0 inputs and 300 outputs": build([node("Relu", "x", "y")], {}, {f"y{k}": [1] for k in range(300)}),
    "ceil_mode": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "Resize.*rounds as TFLite never": build(
        [helper.make_node("Resize", ["x", "", "s"], ["y"], coordinate_transformation_mode="asymmetric",
                          nearest_mode="ceil")],
        {"x": [1, 1, 4, 4]}, {"y": [1, 1, 12, 8]}, {"s": np.array([1, 1, 3, 2], np.float32)}),
    "mode is cubic": build([helper.make_node("Resize", ["x", "", "s"], ["y"], mode="cubic")], {"x": [1, 1, 4, 4]},
                           {"y": [1, 1, 8, 8]}, {"s": np.array([1, 1, 2, 2], np.float32)}),
    "give sizes instead": build([helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")],
                                {"x": [1, 1, 4, 4]}, {"y": [1, 1, 5, 4]}, {"s": np.array([1, 1, 1.4, 1], np.float32)}),
    "smooths": build([helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear", antialias=1)],
                     {"x": [1, 1, 4, 4]}, {"y": [1, 1, 2, 2]}, {"s": np.array([1, 1, 0.5, 0.5], np.float32)}, 18),
    "Loop .*graph of its own": build(
        [node("Loop", "n flag x", "y", body=helper.make_graph(
            [node("Relu", "a", "b"), node("Identity", "f", "g")], "b",
            [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("f", 9, []),
             helper.make_tensor_value_info("a", 1, None)],
            [helper.make_tensor_value_info("g", 9, []), helper.make_tensor_value_info("b", 1, None)]))],
        {"x": [1, 4]}, {"y": [1, 4]}, {"n": np.array(3), "flag": np.array(True)}),
    "computed at run time; one constant matrix": build([node("MatMul", "x x", "y")], {"x": [1, 4, 4]},
                                                        {"y": [1, 4, 4]}),
    "num_groups|groups of channels": one("GroupNormalization", "s", "o", opset=21, num_groups=3,
                                         constants=[rng_array(1, 4), rng_array(2, 4)]),
    "mode is reflect": one("Pad", "p", constants=[np.array([0, 0, 1, 1, 0, 0, 1, 1])], mode="reflect"),
    "reduces the batch": one("ReduceMean", axes=[0]),
    "run time": build([node("Conv", "x x", "y")], {"x": [1, 4, 3, 3]}, {"y": [1, 1, 1, 1]}),
    "grouped": one("ConvTranspose", "w", constants=[rng_array(1, 4, 1, 3, 3)], group=4),
    "is a constant": build([node("Relu", "x", "y"), node("Identity", "k", "z")], {"x": [1, 4]}, {"y": [1, 4], "z": [4]},
                           {"k": rng_array(1, 4)}),
    "quantize statically": build([node("DynamicQuantizeLinear", "x", "a b c")], {"x": [1, 4]}, {"a": [1, 4]}),
    "beyond 16777216 elements": build([node("ConstantOfShape", "s", "k"), node("Add", "x k", "y")], {"x": [1, 4]},
                                      {"y": [1, 4]}, {"s": np.array([1 << 30, 1 << 10])}),
    "what numbers they stand for": build([node("Flatten", "x", "y")], {"x": ([1, 4, 2], TensorProto.INT8)},
                                         {"y": ([1, 8], TensorProto.INT8)}),
}  # fmt: skip


@pytest.mark.parametrize("said", REFUSED)
def test_refusals(said):
    with pytest.raises(UnsupportedError, match=said) as e:
        frontend.parse(REFUSED[said], "m.onnx", "m")
    assert len(e.value.problems) <= 2


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ToolError, match=re.escape(extras.INSTALL["onnx"])):
        frontend.parse(IDIOMS["cnn"], "m.onnx", "m")


def test_command_line(tmp_path):
    """inspect, and compile with calibration data, on a float model; compile on a quantized one."""
    for name, data in {"net": IDIOMS["cnn"], "ready": QUANTIZED["plain_uint8_13"], "odd": REFUSED["ceil_mode"]}.items():
        (tmp_path / f"{name}.onnx").write_bytes(data)
    np.savez(tmp_path / "x.npz", x=rng_array(2, 5, 8, 8, 2))

    def call(*args):
        result = CliRunner().invoke(app, [str(a) for a in args])
        return result.exit_code, result.output

    net, compiled = tmp_path / "net.onnx", ("--board", "host", "--no-build", "-o")
    status, said = call("inspect", net)
    assert status == 0 and "conv2d" in said and "--calibrate" in said
    assert call("compile", net, "--calibrate", tmp_path / "x.npz", *compiled, tmp_path / "a")[0] == 0
    assert call("compile", tmp_path / "ready.onnx", *compiled, tmp_path / "b")[0] == 0
    assert (tmp_path / "a" / "net.c").is_file() and (tmp_path / "b" / "ready.c").is_file()
    status, said = call("inspect", tmp_path / "odd.onnx")
    assert status == 1 and "! MaxPool" in said and "4x6x5" not in said
    with pytest.raises(UnsupportedError, match="ceil_mode"):
        pipeline.load(tmp_path / "odd.onnx")


def test_inspect_shows_what_is_unsupported_in_its_place():
    """What rests on it is shown too: by name, or translated where the file states the shape between."""
    nodes = [node("Conv", "x w", "c"), node("Erf", "c", "e"), node("Relu", "e", "r"), node("Gemm", "r k", "y")]
    data = build(nodes, {"x": [1, 4, 6, 5]}, {"y": [1, 3]}, {"w": W, "k": rng_array(2, 5, 3)})
    summary = summarize(frontend.translated(data, "m.onnx", "m"))
    assert [layer.op for layer in summary.layers] == ["conv2d", "Erf", "Relu", "Gemm"]
    assert summary.problems == ["Erf (e): no such operator in intaglio"] and summary.macs == 4 * 3 * 6 * 4 * 9
    stated = onnx.load_model_from_string(data)
    stated.graph.value_info.append(helper.make_tensor_value_info("e", TensorProto.FLOAT, [1, 6, 4, 3]))
    summary = summarize(frontend.translated(stated.SerializeToString(), "m.onnx", "m"))
    assert [layer.op for layer in summary.layers] == ["conv2d", "Erf", "relu", "Gemm"]
    assert summary.layers[1].outputs == ((1, 4, 3, 6),)
    with pytest.raises(UnsupportedError, match="Erf") as e:
        frontend.parse(data, "m.onnx", "m")
    assert len(e.value.problems) == 1


def test_unreadable(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        pipeline.load(tmp_path / "none.onnx")
