"""Layers that share one weight: trained as one, in flash once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from digits_model import CONV, HIDDEN, LOGITS, digits, trained
from floats import same_graph
from torch import nn

from intaglio import boards, prepare, to_int8
from intaglio.compress.layers import weights_of
from intaglio.compress.prune import prune
from intaglio.compress.share import share
from intaglio.compress.tie import tie
from intaglio.errors import DataError
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.graph import constant
from intaglio.interpret import run
from intaglio.train import quantization_aware, to_graph, to_module
from intaglio.train.loop import Settings, evaluate, fit

torch.set_num_threads(1)
FIRST, SECOND, THIRD, FOURTH, LAST = "linear", "linear_1", "linear_2", "linear_3", "linear_4"
TIED = (SECOND, THIRD, FOURTH)


def deep():
    torch.manual_seed(3)
    hidden = [[nn.Linear(40, 40), nn.ReLU()] for _ in range(3)]
    layers = [nn.Flatten(), nn.Linear(64, 40), nn.ReLU(), *(m for h in hidden for m in h), nn.Linear(40, 10)]
    return simplify(frontend.load(nn.Sequential(*layers), torch.zeros(1, 1, 8, 8), "deep"))


def inputs(graph, name):
    return next(n for n in graph.nodes if n.name == name).inputs


def flash(graph):
    with prepare.prepared(None, boards.load("qemu-mps2-an386"), graph) as firmware:
        return firmware.sizes.flash_bytes, firmware.sizes.flash_weight_bytes


def test_the_weight_is_the_mean_and_biases_stay():
    graph = deep()
    found = tie(graph, TIED)
    values = [graph.tensors[inputs(graph, n)[1]].data for n in TIED]
    for name in TIED:
        assert inputs(found, name)[1] == inputs(graph, SECOND)[1] and inputs(found, name)[2] == inputs(graph, name)[2]
    assert np.allclose(found.tensors[inputs(found, THIRD)[1]].data, np.mean(values, 0), atol=1e-7)
    assert inputs(graph, THIRD)[1] not in found.tensors and inputs(graph, FIRST)[1] in found.tensors
    assert same_graph(tie(found, ["linear_[123]"]), found)


def test_of_layers_that_are_tied_already_some_can_leave():
    both = tie(deep(), TIED)
    found = tie(both, TIED[:2])
    first, second, third = (inputs(found, n)[1] for n in TIED)
    assert first == second != third and same_graph(found, found)
    assert (found.tensors[first].data == found.tensors[third].data).all()


def test_one_parameter_is_trained_with_the_gradients_of_all():
    module = to_module(tie(deep(), TIED))
    assert [w.name for w in weights_of(module)] == [FIRST, SECOND, LAST]
    assert sum(p.numel() for p in module.parameters() if p.ndim == 2) == 64 * 40 + 40 * 40 + 400
    fit(module, digits()[0], Settings(10, 64, 0.01), progress=False)
    graph = to_graph(module)
    assert evaluate(module, digits()[1])[1] > 0.8
    # As many layers of their own that happen to be equal: their gradients, summed.
    module, apart = to_module(graph), to_module(_apart(graph))
    x, y = (torch.as_tensor(a[:64]) for a in digits()[0])
    for one in (module, apart):
        nn.functional.cross_entropy(one(x), y).backward()
    wanted = sum(w.original().grad for w in weights_of(apart, TIED))
    assert torch.allclose(weights_of(module, [SECOND])[0].original().grad, wanted, rtol=1e-4, atol=1e-7)
    aware = quantization_aware(graph, digits()[0][0][:100])
    fit(aware, digits()[0], Settings(1, 64), progress=False)
    assert evaluate(aware, digits()[1])[1] > 0.8
    found = to_graph(aware)
    first, *others = (found.tensors[inputs(found, n)[1]].data for n in TIED)
    assert all((o == first).all() for o in others)


def _apart(graph):
    """With copies of the weights for each layer."""
    tensors, nodes = dict(graph.tensors), []
    for n in graph.nodes:
        if n.name in TIED:
            name = f"{n.name}:own"
            tensors[name] = constant(name, graph.tensors[n.inputs[1]].data.copy())
            n = replace(n, inputs=(n.inputs[0], name, *n.inputs[2:]))
        nodes.append(n)
    return graph.with_nodes(nodes, tensors)


@pytest.mark.parametrize("bits", [8, 4])
def test_in_flash_it_lies_once(bits):
    x = digits()[0][0][:100]
    each, tied = (to_int8(g, x, weight_bits=bits) for g in (deep(), tie(deep(), TIED)))
    values = [tied.tensors[inputs(tied, n)[1]].data for n in TIED]
    assert all((v == values[0]).all() for v in values)
    (before, weights), (after, less) = flash(each), flash(tied)
    spared = 2 * 40 * 40 * bits // 8
    assert weights - less == spared
    assert before - after > 0.95 * spared


def test_pruned_and_shared_it_is_still_one():
    x = digits()[0][0]
    module = quantization_aware(tie(deep(), TIED), x[:64])
    prune(module, {SECOND: 0.7})
    share(module, {SECOND: 8})
    fit(module, digits()[0], Settings(1, 64), progress=False)
    graph = to_graph(module)
    a, b, c = (graph.tensors[inputs(graph, n)[1]] for n in TIED)
    assert (a.data == b.data).all() and (a.data == c.data).all() and a.quant == b.quant == c.quant
    assert len(np.unique(a.data)) <= 8 and (a.data == 0).mean() >= 0.7
    t = graph.tensors[graph.inputs[0]]
    entered = np.clip(np.floor(x[:20] / t.scale + 0.5) + t.zero_point, -128, 127).astype(np.int8)
    assert (module.integers(entered)[0].ravel() == run(graph, [entered[:, None]])[0].ravel()).all()


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([SECOND], "name one layer with weights, linear_1. Allowed: two or more"),
        ([SECOND, "linaer"], r"tie, layers: no layer is called 'linaer'\. Allowed: linear"),
        ([FIRST, SECOND], r"differ: linear: fully_connected \[40, 64\]; linear_1: fully_connected \[40, 40\]"),
    ],
)
def test_what_does_not_fit_together_is_refused(layers, said):
    with pytest.raises(DataError, match=said):
        tie(deep(), layers)


def test_integers_grids_and_batch_norms_are_refused():
    with pytest.raises(DataError, match=r"'linear_1': its weights are int8\. Allowed: float32 constants\. Tie before"):
        tie(to_int8(deep(), digits()[0][0][:20]), TIED)
    module = to_module(deep())
    share(module, {THIRD: 4})
    with pytest.raises(DataError, match=r"'linear_2': its weights are on a grid\. Tie before sharing"):
        tie(to_graph(module), TIED)
    with pytest.raises(DataError, match=r"differ: conv2d: conv2d .*; linear: fully_connected"):
        tie(trained(), [CONV, HIDDEN, LOGITS])
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64))
    net[2].weight.data.uniform_(0.5, 2)
    graph = frontend.load(net.eval(), torch.zeros(1, 1, 8, 8), "norm")
    with pytest.raises(DataError, match=r"'linear': a batch norm behind it would give it weights of its own"):
        tie(graph, ["linear", "linear_1"])
    assert len({inputs(g, n)[1] for g in [tie(simplify(graph), ["linear*"])] for n in ("linear", "linear_1")}) == 1
