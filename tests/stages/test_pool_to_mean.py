"""Global average pools quantized as means: the same floats, a scale of their own, and the oracle's bytes."""

import numpy as np
import pytest
import torch
from harness import compare, host_c, tflm
from torch import nn
from torch_zoo import seq

from intaglio import interpret
from intaglio.floats.pool_to_mean import pool_to_mean
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.quantize.post_training import post_training

torch.set_num_threads(1)
X = np.random.default_rng(0).normal(size=(24, 8, 6, 3)).astype(np.float32) ** 3


def graph_of(pool):
    torch.manual_seed(1)
    module = seq(nn.Conv2d(3, 8, 1), nn.ReLU(), pool, nn.Conv2d(8, 4, 1)).eval()
    return simplify(frontend.load(module, torch.zeros(1, 3, 8, 6)))


def names(graph):
    return [n.op.name for n in graph.nodes]


def error(graph, x, want):
    t, out = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    ints = np.clip(np.round(x / t.scale) + t.zero_point, -128, 127).astype(np.int8)
    got = (interpret.run(graph, [ints])[0].astype(float) - out.zero_point) * out.scale
    return float(((got.reshape(want.shape) - want) ** 2).mean())


def test_a_global_pool_gets_a_scale_of_its_own():
    graph = graph_of(nn.AvgPool2d((8, 6)))
    assert "average_pool2d" in names(graph)
    found = pool_to_mean(graph)
    assert "average_pool2d" not in names(found) and names(found).count("mean") == 1
    np.testing.assert_allclose(run_float(found, [X])[0], run_float(graph, [X])[0], rtol=1e-5, atol=1e-6)
    [want] = run_float(graph, [X])
    plain, better = post_training(graph, X, pools_as_means=False), post_training(graph, X)
    node = next(n for n in better.nodes if n.op.name == "mean")
    assert better.tensors[node.outputs[0]].scale < better.tensors[node.inputs[0]].scale / 2
    assert error(better, X, want) < error(plain, X, want) / 2


def test_bytes_of_the_oracle():
    q = post_training(graph_of(nn.AvgPool2d((8, 6))), X)
    rng = np.random.default_rng(1)
    rows = [[rng.integers(-128, 128, (1, 8, 6, 3), np.int8)] for _ in range(20)]
    expected = [[interpret.step(q, row, {})[0] for row in rows]]
    compare("host C", [q], [rows], expected, host_c([q], [rows]), 0)
    compare("oracle", [q], [rows], expected, tflm([q], [rows]), 0)


@pytest.mark.parametrize("pool", [nn.AvgPool2d(2), nn.AvgPool2d((8, 3)), nn.MaxPool2d((8, 6))])
def test_other_pools_stay(pool):
    graph = graph_of(pool)
    assert names(pool_to_mean(graph)) == names(graph)
