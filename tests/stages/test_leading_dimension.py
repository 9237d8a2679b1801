"""An input has a batch of 1, but a value inside a network may have any first dimension: every operator of ONNX and of
ATen gives the right numbers there, or is refused. The judges are onnxruntime and torch; C is the reference's equal."""

import warnings

import numpy as np
import onnx
import onnx_models
import pytest
import torch
import torch_zoo
from harness import host_c
from onnx import TensorProto, helper, numpy_helper
from onnx_idioms import IDIOMS, in_memory_order, input_shape, one
from onnx_models import build, node, rng_array
from onnx_node_cases import CASES, OPSETS
from torch_zoo import order_of

from intaglio import interpret, pipeline
from intaglio.errors import IntaglioError, UnsupportedError
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import onnx as onnx_frontend
from intaglio.frontends import torch as torch_frontend

LEADING = (2, 3)


def with_first(x, leading):
    """Values like `x`, with another first dimension."""
    rng = np.random.default_rng(x.size)
    rows = [x[i % len(x)] for i in range(leading)]
    return np.stack([r + rng.normal(0, 0.1, r.shape).astype(r.dtype) * (i >= len(x)) for i, r in enumerate(rows)])


def inside(original, given, leading):
    """The model's node on a value of this first dimension, computed from a flat input, and that input; None where the
    node does not take it."""
    if not given or not all(isinstance(g, np.ndarray) for g in given):
        return None
    if given[0].dtype != np.float32 or not 2 <= given[0].ndim <= 5 or not given[0].size:
        return None
    model = onnx.ModelProto()
    model.CopyFrom(original)
    x = with_first(given[0], leading)
    names = [i.name for i in model.graph.input]
    for name, value in list(zip(names, given, strict=False))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.initializer.append(numpy_helper.from_array(np.array(x.shape, np.int64), "the_shape"))
    model.graph.node.insert(0, helper.make_node("Reshape", ["flat", "the_shape"], [names[0]]))
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, [1, x.size]))
    outputs = [o.name for o in model.graph.output]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs)
    for o in model.opset_import:
        o.version = o.version if o.domain else min(o.version, OPSETS[-1])
    model.ir_version = min(model.ir_version, 10)
    data, flat = model.SerializeToString(), x.reshape(1, -1)
    try:
        return data, flat, onnx_models.run(data, flat)
    except Exception:  # onnxruntime: constants that do not fit this first dimension, or an output of another type
        return None


def check(graph, flat, want, where):
    """The float runs and the reference come close to the judge. Returns the graph as C executes it, if it can."""
    for got, expected in zip(run_float(graph, [flat]), want, strict=True):
        assert got.shape == expected.shape, where
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5, err_msg=where)
    simple = simplify(graph)
    try:
        pipeline.compile_graph(simple, "host")
    except IntaglioError:
        return None
    if all(n.op.has_reference for n in simple.nodes):
        for got, expected in zip(interpret.run(simple, [flat[None]]), want, strict=True):
            np.testing.assert_allclose(got[0], expected, rtol=1e-4, atol=2e-5, err_msg=where)
    return simple


def check_onnx(models):
    """(name, model, its inputs) each; at least one is no refusal."""
    graphs, flats, wants, right = [], [], [], []
    for name, model, given in models:
        for leading in LEADING:
            made = inside(model, given, leading)
            if made is None:
                continue
            data, flat, want = made
            try:
                graph = onnx_frontend.parse(data, "m.onnx", f"case_{len(graphs)}")
            except IntaglioError:
                continue
            right.append(name)
            simple = check(graph, flat, in_memory_order(graph, want), f"{name} with {leading}")
            if simple is not None:
                graphs.append(simple)
                flats.append([[flat]])
                wants.append(in_memory_order(graph, want))
    for [got], want in zip(host_c(graphs, flats) if graphs else [], wants, strict=True):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b.reshape(a.shape), rtol=1e-4, atol=1e-4)
    return set(right)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op", sorted(set(CASES) & set(onnx_frontend.FLOAT)))
def test_onnx(op):
    check_onnx([(case.name, case.model, case.data_sets[0][0]) for case in CASES[op]])


def test_onnx_of_older_operator_sets():
    """What other tests have: Softmax before operator set 13, maps of one height, axes as attributes."""
    models = []
    for name, data in IDIOMS.items():
        model, shape = onnx.load_model_from_string(data), input_shape(data)
        models.append((name, model, [rng_array(len(name), *shape)]))
    right = check_onnx(models)
    assert {"softmax_11", "softmax_11_together", "reduce_max", "flatten_2"} <= right and len(right) > 20


@pytest.mark.parametrize("axes", [None, [0, 2, 3], [2, 3], [-4, -2, -1], [-1, -2]])
@pytest.mark.parametrize("leading", [1, *LEADING])
def test_mean_variance_normalization(leading, axes):
    """Across the first dimension as well, unless the axes say otherwise."""
    model = onnx.load_model_from_string(one("MeanVarianceNormalization", **({} if axes is None else {"axes": axes})))
    data, flat, want = inside(model, [rng_array(5, 1, 4, 6, 5)], leading)
    graph = onnx_frontend.parse(data, "m.onnx", "case")
    check(graph, flat, in_memory_order(graph, want), f"axes {axes}")


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("leading", [1, *LEADING])
def test_group_norm_as_exporters_spell_it_out(leading, first):
    """A Reshape to [1, groups, -1] gathers what has another first dimension, and is refused; [0, ...] keeps it."""
    constants = {
        "s": np.array([first, 2, -1]), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32),
        "back": np.array([leading, 4, 6, 5]), "k": rng_array(1, 4, 1, 1), "b": rng_array(2, 4, 1, 1),
    }  # fmt: skip
    nodes = [node("Reshape", "x s", "g"), node("InstanceNormalization", "g one zero", "i"),
             node("Reshape", "i back", "r"), node("Mul", "r k", "m"), node("Add", "m b", "y")]  # fmt: skip
    model = onnx.load_model_from_string(build(nodes, {"x": [leading, 4, 6, 5]}, {"y": [leading, 4, 6, 5]}, constants))
    data, flat, want = inside(model, [rng_array(5, 1, 4, 6, 5)], leading)
    if first == 1 and leading > 1:
        with pytest.raises(UnsupportedError, match="across the first dimension"):
            onnx_frontend.parse(data, "m.onnx", "case")
        return
    graph = onnx_frontend.parse(data, "m.onnx", "case")
    check(graph, flat, in_memory_order(graph, want), "group norm")


class Inside(torch.nn.Module):
    """A module on a value of another first dimension than its input's 1."""

    def __init__(self, module, shape):
        super().__init__()
        self.module, self.shape = module, shape

    def forward(self, x):
        return self.module(x.reshape(self.shape))


def modules():
    """The zoo, and what it lacks: normalizations, resizing, dealing out pixels."""
    torch.manual_seed(1)
    fn, parameter = torch_zoo.Fn, lambda *shape: torch.nn.Parameter(torch.randn(shape))
    return {name: torch_zoo.model(name) for name in torch_zoo.ZOO} | {
        "group_norm": (torch.nn.GroupNorm(2, 4), (4, 6, 5)),
        "instance_norm": (torch.nn.InstanceNorm2d(4, affine=True), (4, 6, 5)),
        "instance_norm_1d": (torch.nn.InstanceNorm1d(4), (4, 7)),
        "layer_norm": (torch.nn.LayerNorm(5), (4, 6, 5)),
        "layer_norm_together": (torch.nn.LayerNorm([4, 6, 5]), (4, 6, 5)),
        "pixel_shuffle": (torch.nn.PixelShuffle(2), (8, 3, 2)),
        "pixel_unshuffle": (torch.nn.PixelUnshuffle(2), (2, 4, 6)),
        "channel_shuffle": (torch.nn.ChannelShuffle(2), (6, 3, 2)),
        "bilinear": (torch.nn.Upsample(scale_factor=2, mode="bilinear"), (3, 4, 5)),
        "flip": (fn(lambda m, x: x.flip(0, 2)), (3, 4, 5)),
        "index": (fn(lambda m, x: x[:, [2, 0, 1]]), (3, 4, 5)),
        "first_of_all": (fn(lambda m, x: x[0]), (3, 4, 5)),
        "over_the_first": (fn(lambda m, x: x.mean(0)), (3, 4, 5)),
        "softmax_first": (fn(lambda m, x: x.softmax(0)), (3, 4)),
        "norm": (fn(lambda m, x: torch.linalg.vector_norm(x, dim=(1, 2))), (3, 4)),
        "einsum": (fn(lambda m, x: torch.einsum("bij,jk->bik", x, m.w), w=parameter(4, 5)), (3, 4)),
        "flat_map_added": (fn(lambda m, x: x.flatten(1) + m.w, w=parameter(60)), (3, 4, 5)),
        "whole": (fn(lambda m, x: x.sum()[None] + x.amax()), (3, 4)),
    }


@pytest.mark.parametrize("leading", LEADING)
def test_torch(leading):
    right = []
    for name, (module, shape) in modules().items():
        whole = Inside(module, (leading, *shape))
        x = torch.randn(1, leading * int(np.prod(shape)), generator=torch.Generator().manual_seed(3))
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = whole(x)
        try:
            graph = torch_frontend.load(whole, x, "case")
        except IntaglioError:
            continue
        found = found if isinstance(found, tuple) else (found,)
        want = [v.permute(order_of(graph, out)).numpy() for v, out in zip(found, graph.outputs, strict=True)]
        check(graph, x.numpy(), want, f"{name} with {leading}")
        right.append(name)
    assert len(right) > 50
