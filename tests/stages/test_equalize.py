"""Cross-layer equalization: the same floats to the bit, and better integers where channels are unlike."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_zoo import Fn, seq

from intaglio import interpret
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.quantize.equalize import equalize, pairs_of
from intaglio.quantize.post_training import post_training

torch.set_num_threads(1)


def uneven(module, seed=0):
    """The channels of every layer made unlike by up to 2**8 without changing what the module computes much."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                by = 2.0 ** (8 * torch.rand(layer.weight.shape[0], generator=generator) - 4)
                layer.weight.mul_(by.reshape(-1, *[1] * (layer.weight.ndim - 1)))
                layer.bias.mul_(by)
    return module.eval()


MODULES = {
    "convs": (lambda: seq(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)), 1),
    "no activation": (lambda: seq(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)), 1),
    "separable": (
        lambda: seq(
            nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 5, 1), nn.ReLU(),
        ),
        2,
    ),
    "multiplier": (lambda: seq(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(),
                               nn.Conv2d(8, 2, 1)), 2),
    "pooled": (lambda: seq(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 1)), 1),
    "mean to linear": (
        lambda: seq(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)), 1,
    ),
    "linears": (lambda: seq(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 4)), 1),
    "leaky": (lambda: seq(nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.1), nn.Conv2d(8, 4, 1)), 1),
    "relu6": (lambda: seq(nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Conv2d(8, 4, 1)), 0),
    "sigmoid": (lambda: seq(nn.Conv2d(3, 8, 3), nn.Sigmoid(), nn.Conv2d(8, 4, 1)), 0),
    "flattened map": (lambda: seq(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)), 0),
    "grouped": (lambda: seq(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1, groups=2)), 0),
    "residual": (lambda: Fn(lambda m, x: m.b(y := m.a(x)) + y, a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 4, 1)), 0),
}  # fmt: skip


def graph_of(name):
    torch.manual_seed(1)
    return frontend.load(uneven(MODULES[name][0]()), torch.zeros(1, 3, 8, 8))


X = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize("name", MODULES)
def test_exact_in_float(name):
    graph = simplify(graph_of(name))
    found = equalize(graph)
    assert len(pairs_of(graph)) == MODULES[name][1]
    for old, new in zip(run_float(graph, [X]), run_float(found, [X]), strict=True):
        assert old.tobytes() == new.tobytes()
    changed = any(
        not np.array_equal(graph.tensors[a.inputs[1]].data, found.tensors[b.inputs[1]].data)
        for a, b in zip(graph.nodes, found.nodes, strict=True)
        if len(a.inputs) > 1 and graph.tensors[a.inputs[1]].is_const
    )
    assert changed == bool(MODULES[name][1])


@pytest.mark.parametrize("name", [n for n, (_, pairs) in MODULES.items() if pairs])
def test_spans_meet(name):
    """Each channel of a pair's first weights spans what the second's do, within the square root of 2 both ways."""
    graph = equalize(graph_of(name))
    for pair in pairs_of(graph):
        first, second = graph.nodes[pair.first], graph.nodes[pair.second]
        a, b = (np.abs(graph.tensors[n.inputs[1]].data.astype(float)) for n in (first, second))
        a = np.moveaxis(a, 3 if first.op.name == "depthwise_conv2d" else 0, 0)
        a = a.reshape(len(a), -1).max(1)
        b = b.reshape(-1, b.shape[-1]).max(0)
        if second.op.name == "depthwise_conv2d":
            b = b.reshape(len(a), -1).max(1)
        # s = 2**k on one side and 2**-k on the other: a quotient between 1/2 and 2.
        assert (np.abs(np.log2(a / b)) <= 1.0 + 1e-6).all()


def integer_error(q, x, want):
    t, out = q.tensors[q.inputs[0]], q.tensors[q.outputs[0]]
    ints = np.clip(np.round(x / t.scale) + t.zero_point, -128, 127).astype(np.int8)
    got = (interpret.run(q, [ints])[0].astype(float) - out.zero_point) * out.scale
    return float(((got.reshape(want.shape) - want) ** 2).mean())


def test_unlike_channels_quantize_better():
    """A tensor whose channels differ by 2**8 and are undone after: one scale for all of them loses the small ones."""
    torch.manual_seed(3)
    module = seq(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 1)).eval()
    with torch.no_grad():
        by = 2.0 ** torch.linspace(-4, 4, 16)
        module[0].weight.mul_(by.reshape(-1, 1, 1, 1))
        module[0].bias.mul_(by)
        module[2].weight.div_(by.reshape(1, -1, 1, 1))
    graph = frontend.load(module, torch.zeros(1, 3, 8, 8))
    [want] = run_float(simplify(graph), [X])
    plain = integer_error(post_training(graph, X, "minmax", bias_corrected=False), X, want)
    better = integer_error(post_training(graph, X, "minmax", equalized=True, bias_corrected=False), X, want)
    assert better < plain / 10


def test_shared_weights_and_dead_channels():
    """Two pairs share a layer's weights: each scales its own copy. A channel of zeros has no span to equalize."""
    shared = nn.Conv2d(4, 4, 1)
    module = Fn(lambda m, x: m.c(torch.relu(m.b(torch.sigmoid(m.a(x))))) + m.b(m.a(x)), a=nn.Conv2d(3, 4, 1), b=shared,
                c=nn.Conv2d(4, 4, 1))  # fmt: skip
    with torch.no_grad():
        shared.weight[1] = 0
        module.c.weight.mul_(100)
    graph = simplify(frontend.load(module.eval(), torch.zeros(1, 3, 8, 8)))
    found = equalize(graph)
    assert len(pairs_of(graph)) == 2
    assert run_float(graph, [X])[0].tobytes() == run_float(found, [X])[0].tobytes()
    assert all(np.isfinite(t.data).all() for t in found.tensors.values() if t.data is not None)
