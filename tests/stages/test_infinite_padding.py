"""A Pad with -inf: a pool's own padding where a pool follows and sees only numbers, else refused by name."""

import numpy as np
import onnx_models
import pytest
import torch
from files import read_back
from harness import act, graph_of, host_c
from onnx_idioms import in_memory_order, nhwc
from onnx_models import build, node, rng_array
from torch import nn
from torch_zoo import Fn

from intaglio import interpret, pipeline
from intaglio.errors import ModelError, UnsupportedError
from intaglio.frontends import onnx as onnx_frontend
from intaglio.frontends import torch as torch_frontend
from intaglio.graph import Tensor
from intaglio.ops.pad import Pad
from intaglio.quantize.post_training import post_training
from intaglio.summary import summarize

LOWEST = float(np.finfo(np.float32).min)


def pooled(pads, kernel=3, stride=2, value=-np.inf, shape=(1, 4, 7, 5), own=0):
    """Pad, MaxPool."""
    sizes = len(shape) - 2
    constants = {"p": np.array([0, 0, *pads[:sizes], 0, 0, *pads[sizes:]]), "v": np.float32(value)}
    attrs = {"kernel_shape": [kernel] * sizes, "strides": [stride] * sizes, "pads": [own] * 2 * sizes}
    nodes = [node("Pad", "x p v", "q"), node("MaxPool", "q", "y", **attrs)]
    return build(nodes, {"x": list(shape)}, {"y": [1, 4, *[None] * sizes]}, constants)


@pytest.mark.parametrize("value", [-np.inf, LOWEST])
@pytest.mark.parametrize(
    ("pads", "attrs"),
    [((1, 1, 1, 1), {}), ((0, 1, 2, 1), {}), ((2, 0, 1, 2), {"kernel": 4, "stride": 1}), ((0, 1, 1, 0), {"own": 1})],
)  # fmt: skip
def test_it_becomes_the_padding_of_a_pool(pads, attrs, value):
    data = pooled(pads, value=value, **attrs)
    graph = onnx_frontend.parse(data, "m.onnx", "case")
    assert not summarize(graph).problems
    simple = pipeline.executable(graph)
    assert [n.op.name for n in simple.nodes] == ["max_pool2d"]
    x = rng_array(3, 1, 4, 7, 5) - 5
    want = in_memory_order(graph, onnx_models.run(data, x))[0]
    assert (interpret.run(simple, [nhwc(x)])[0][0] == want).all()
    assert (host_c([simple], [[[nhwc(x)]]])[0][0][0] == want).all()


def test_along_a_length():
    data = pooled((1, 2), shape=(1, 4, 9))
    graph = onnx_frontend.parse(data, "m.onnx", "case")
    simple = pipeline.executable(graph)
    assert "pad" not in [n.op.name for n in simple.nodes]
    x = rng_array(3, 1, 4, 9) - 5
    assert (interpret.run(simple, [x])[0][0] == in_memory_order(graph, onnx_models.run(data, x))[0]).all()


def test_from_torch_to_integers():
    """Ranges come from the numbers alone, and the integers are right to half a step."""
    module = Fn(lambda m, x: m.p(nn.functional.pad(m.c(x), (0, 1, 0, 1), value=-torch.inf)),
                c=nn.Conv2d(3, 4, 3), p=nn.MaxPool2d(2, 2)).eval()  # fmt: skip
    graph = torch_frontend.load(module, torch.zeros(1, 3, 9, 9))
    x = np.random.default_rng(1).normal(size=(16, 9, 9, 3)).astype(np.float32)
    quantized = post_training(graph, x)
    assert [n.op.name for n in quantized.nodes] == ["conv2d", "max_pool2d"]
    assert all(t.quant.scale[0] < 1 for t in quantized.tensors.values())


@pytest.mark.parametrize(
    ("said", "data"),
    {
        "read elsewhere": build([node("Pad", "x p v", "y")], {"x": [1, 4, 3, 3]}, {"y": [1, 4, 5, 5]},
                                {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.float32(-np.inf)}),
        "a window of padding alone": pooled((3, 3, 0, 0)),
        "a window of padding alone at the end": pooled((0, 0, 5, 5)),
        "plus infinity": pooled((1, 1, 1, 1), value=np.inf),
    }.items(),
)  # fmt: skip
def test_refused(said, data):
    graph = onnx_frontend.parse(data, "m.onnx", "case")
    assert "it pads with" in summarize(graph).problems[0], said
    with pytest.raises(UnsupportedError, match=r"it pads with .*put a MAX_POOL right behind"):
        pipeline.compile_graph(graph, "host")
    x = np.zeros((4, *graph.tensors[graph.inputs[0]].shape[1:]), np.float32)
    with pytest.raises(UnsupportedError, match="it pads with"):
        post_training(graph, x)


def test_what_is_no_number_is_refused_at_the_door():
    with pytest.raises(ModelError, match=r"pad\): has the value nan\. Allowed: a finite number"):
        onnx_frontend.parse(pooled((1, 1, 1, 1), value=np.nan), "m.onnx", "case")


def test_integers_take_their_lowest():
    x = act(np.random.default_rng(1), "x", (1, 2), scale=0.1, zero_point=5)
    op = Pad(((0, 0), (1, 0)), -np.inf)
    y = act(None, "y", (1, 3), scale=0.1, zero_point=5)
    assert op.reference([np.array([[3, 4]], np.int8)], [x], [y])[0].tolist() == [[-128, 3, 4]]


def test_survives_a_file():
    t = Tensor("x", (1, 2), "float32")
    op = Pad(((0, 0), (1, 0)), -np.inf)
    assert read_back(graph_of(op, [t], [Tensor("y", (1, 3), "float32")])).op == op
