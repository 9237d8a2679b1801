"""PyTorch -> float Graph: the same numbers, no transposes, and everything unsupported named at once."""

import re
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_zoo import IMAGE, ZOO, Fn, channels_last, conv, model, order_of, sample, seq

from intaglio import extras
from intaglio.errors import DataError, ToolError, UnsupportedError
from intaglio.floats.run import keeps_batch, run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend

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
"""Modules in which data has to move, and how many transposes that takes: a flattened map that is an output or meets
another vector, a row cut from a map, a channel shuffle, a sequence that comes and goes channels first."""


def outputs_of(graph, x):
    rows = channels_last(x).numpy()
    if keeps_batch(graph):
        return run_float(graph, [rows])
    each = [run_float(graph, [one[None]]) for one in rows]
    return [np.concatenate(o) for o in zip(*each, strict=True)]


@pytest.mark.parametrize("name", ZOO)
def test_same_numbers(name):
    module, shape = model(name)
    graph = frontend.load(module, torch.zeros(1, *shape), name)
    x = sample(name, 3)
    with torch.no_grad():
        expected = module(x)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for g in (graph, simplify(graph)):
        for out, got, want in zip(g.outputs, outputs_of(g, x), expected, strict=True):
            np.testing.assert_allclose(got, want.permute(order_of(graph, out)).numpy(), rtol=1e-5, atol=1e-5)
    again = simplify(simplify(graph))
    assert list(again.tensors) == list(simplify(graph).tensors)
    transposes = [n.name for n in again.nodes if n.op.name == "transpose"]
    assert len(transposes) == MOVED.get(name, 0), transposes
    assert not any(n.op.name == "batch_norm" for n in again.nodes)


def test_inputs_and_outputs_are_nhwc():
    graph = frontend.load(conv(3, 5, 3), torch.zeros(4, *IMAGE))
    assert [graph.tensors[n].shape for n in graph.inputs] == [(1, 8, 6, 3)]
    assert [graph.tensors[n].shape for n in graph.outputs] == [(1, 6, 4, 5)]


def test_module_is_not_changed():
    module = seq(conv(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    frontend.load(module, torch.zeros(1, *IMAGE))
    assert module.training and all(m.training for m in module.modules())


def test_shared_module_and_two_inputs():
    layer = nn.Linear(4, 4)
    module = Fn(lambda m, a, b: m.l(F.relu(m.l(a))) + b, l=layer).eval()
    graph = frontend.load(module, (torch.zeros(1, 4), torch.zeros(1, 4)))
    a, b = torch.randn(5, 4), torch.randn(5, 4)
    [found] = run_float(graph, [a.numpy(), b.numpy()])
    np.testing.assert_allclose(found, module(a, b).detach().numpy(), rtol=1e-5, atol=1e-5)


def test_constants_are_computed_once():
    module = nn.utils.parametrizations.weight_norm(conv(3, 4, 3)).eval()
    graph = frontend.load(module, torch.zeros(1, *IMAGE))
    assert [n.op.name for n in graph.nodes] == ["conv2d"]


def test_everything_unsupported_is_listed_at_once():
    module = Fn(lambda m, x: (F.mish(m.r(x)).sum(), torch.sort(x)[0] + 1, torch.erf(x)), r=nn.ReflectionPad2d(1)).eval()
    with pytest.raises(UnsupportedError) as e:
        frontend.load(module, torch.zeros(1, *IMAGE), "odd")
    said = str(e.value)
    assert len(e.value.problems) == 4 and "intaglio ops" in said
    for part in ("pad", "mish", "nn.Hardswish", "aten.sort", "aten.erf"):
        assert part in said


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.MaxPool2d(3, 2, ceil_mode=True), "ceil_mode"),
        (nn.MaxPool2d(2, dilation=2), "dilation"),
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override"),
        (nn.AdaptiveAvgPool2d(5), "does not divide"),
        (nn.BatchNorm2d(3, track_running_stats=False), "batch"),
        (nn.Upsample(scale_factor=1.3, mode="bilinear"), "give the size"),
        (nn.Mish(), "nn.GELU"),
        (nn.Softplus(), "nn.ReLU"),
        (nn.ConvTranspose2d(3, 3, 2, groups=3), "groups"),
        (Fn(lambda m, x: F.conv2d(x, x[:, :, :3, :3])), "run time"),
        (Fn(lambda m, x: x / 0), "by zero"),
        (Fn(lambda m, x: x.mean(0)), "reduces the batch"),
        (Fn(lambda m, x: x.sum()), "reduces the batch"),
        (Fn(lambda m, x: x.repeat(1, 1, 100, 1)), "up to 64"),
        (Fn(lambda m, x: torch.einsum("bchw,bcij->bhwij", x, x)), "computed values"),
        (Fn(lambda m, x: F.pad(x, (-1, 0))), "negative"),
        (Fn(lambda m, x: (x, x.argmax(1))), "argmax"),
        (Fn(lambda m, x: (x, torch.ones(3))), "constant"),
        (Fn(lambda m, x: x + torch.rand(3, 1, 1)), "aten.rand"),
        (Fn(lambda m, x: F.dropout(x) + 1), "evaluation mode"),
        (Fn(lambda m, x: x.double() * 2), "float64"),
        (Fn(lambda m, x: x.expand(2, -1, -1, -1) * 2), "repeats"),
        (Fn(lambda m, x: x if x.sum() > 0 else -x), "torch.export"),
    ],
)
def test_refusals(module, said):
    with pytest.raises(UnsupportedError, match=said) as e:
        frontend.load(module, torch.zeros(1, *IMAGE))
    assert len(e.value.problems) <= 2


@pytest.mark.parametrize("example", [torch.zeros(1, 3, dtype=torch.int64), torch.tensor(1.0), "x", (np.zeros((1, 3)),)])
def test_bad_examples(example):
    with pytest.raises(DataError, match="float tensor"):
        frontend.load(nn.Linear(3, 2), example)


def test_without_pytorch(monkeypatch):
    module = nn.Linear(3, 2)
    graph = frontend.load(module, torch.zeros(1, 3))
    monkeypatch.setitem(sys.modules, "torch", None)
    for call in (lambda: frontend.load(module, None), lambda: run_float(graph, [np.zeros((1, 3), np.float32)])):
        with pytest.raises(ToolError, match=re.escape(extras.INSTALL["torch"])):
            call()


def test_dynamic_shapes_are_refused():
    dim = torch.export.Dim("n", min=4, max=64)
    program = torch.export.export(conv(3, 4, 3).eval(), (torch.zeros(1, 3, 8, 8),), dynamic_shapes=({2: dim},))
    with pytest.raises(UnsupportedError, match="dynamic"):
        frontend.from_exported(program)
