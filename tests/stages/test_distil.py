"""Distillation: the losses by their definitions, taps, a student that learns from its teacher alone."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from digits_model import CONV, DEPTHWISE, HIDDEN, LOGITS, digits, lost, network, trained
from floats import same_graph
from torch import nn

from intaglio import interpret
from intaglio.compress.distil import (
    Distillation,
    Distilling,
    attention_loss,
    feature_loss,
    hard_loss,
    soft_loss,
    tapped,
    untapped,
)  # fmt: skip
from intaglio.compress.layers import weights_of
from intaglio.compress.prune import keep_zeros, prune
from intaglio.compress.share import share
from intaglio.errors import DataError
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.graph import Graph, Node, Tensor, verify
from intaglio.ops.softmax import Softmax
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.post_training import quantize
from intaglio.train import quantization_aware, to_graph, to_module
from intaglio.train.loop import Settings, evaluate, fit

torch.set_num_threads(1)
BRIEF = Settings(4, 64, 0.005)


def small(width=3, seed=4) -> Graph:
    """An untrained student with fewer channels."""
    torch.manual_seed(seed)
    return simplify(frontend.load(network(width), torch.zeros(1, 1, 8, 8), "student"))


def scores(seed, *shape):
    return torch.tensor(np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32))


def softmaxed(graph: Graph) -> Graph:
    out = graph.tensors[graph.outputs[0]]
    node = Node("probabilities", Softmax(), (out.name,), ("p",))
    made = replace(graph, nodes=(*graph.nodes, node), tensors={**graph.tensors, "p": Tensor("p", out.shape, "float32")})
    return verify(replace(made, outputs=("p",)), "float")


# ---- losses -----------------------------------------------------------------------------------------------------


def test_soft_loss_is_hintons():
    s, t = scores(0, 5, 4), scores(1, 5, 4)
    for temperature in (1.0, 3.0):
        p, q = (torch.exp(v / temperature) for v in (t, s))
        p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
        wanted = temperature**2 * (p * (p / q).log()).sum(1).mean()
        assert soft_loss(s, t, temperature) == pytest.approx(float(wanted), rel=1e-4)
    assert abs(soft_loss(s, s, 2.0)) < 1e-6 < soft_loss(s, t, 2.0)
    # The gradient at a high temperature is that of the difference of centred logits, whatever the temperature.
    grads = []
    for temperature in (200.0, 400.0):
        v = s.clone().requires_grad_()
        soft_loss(v, t, temperature).backward()
        grads.append(v.grad)
    assert torch.allclose(grads[0], grads[1], rtol=0.05, atol=1e-3)


def test_hard_loss_is_about_the_teachers_answers():
    s, t = scores(0, 6, 4), scores(1, 6, 4)
    wanted = -sum(F.log_softmax(s, 1)[i, int(t[i].argmax())] for i in range(6)) / 6
    assert hard_loss(s, t) == pytest.approx(float(wanted), rel=1e-5)


def test_feature_loss_is_relative():
    s, t = scores(0, 2, 3, 3, 4), scores(1, 2, 3, 3, 4)
    assert feature_loss(t, t) == 0 and feature_loss(torch.zeros_like(t), t) == pytest.approx(1)
    assert feature_loss(s, t) == pytest.approx(float(((s - t) ** 2).sum() / (t**2).sum()), rel=1e-5)


def test_attention_loss_compares_where_not_what():
    s, t = scores(0, 2, 4, 4, 3), scores(1, 2, 4, 4, 7)
    maps = [(v**2).sum(3).reshape(2, -1).numpy() for v in (s, t)]
    units = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in maps]
    assert attention_loss(s, t) == pytest.approx(np.square(units[0] - units[1]).sum(1).mean(), rel=1e-4)
    assert attention_loss(5 * t[..., torch.randperm(7)], t) == pytest.approx(0, abs=1e-6)
    # A map twice as fine, of the same energy.
    fine = t.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert attention_loss(fine, t) == pytest.approx(0, abs=1e-6)
    assert attention_loss(torch.zeros_like(s), t).isfinite()


# ---- taps -------------------------------------------------------------------------------------------------------


def test_taps_come_off_again():
    graph = tapped(trained(), [DEPTHWISE, CONV])
    assert [graph.tensors[n].shape for n in graph.outputs] == [(1, 10), (1, 4, 4, 8), (1, 6, 6, 8)]
    assert same_graph(untapped(verify(graph, "float")), trained())
    x = digits()[0][0][:50]
    ranges = calibrate(graph, x)
    assert same_graph(untapped(quantize(graph, ranges)), quantize(trained(), ranges))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (["conv9"], r"distillation, layers: no layer is called 'conv9'\. Allowed: conv2d"),
        (["conv*"], "'conv\\*' fits 2 layers"),
        ([LOGITS], "'linear_1' is an output already"),
        ([CONV, CONV], "'conv2d' is an output already"),
    ],
)
def test_taps_that_are_refused(layers, said):
    with pytest.raises(DataError, match=said):
        tapped(trained(), layers)


# ---- training ---------------------------------------------------------------------------------------------------


def distilled(student, teacher, parts, settings=BRIEF, **options):
    d = Distillation(student, teacher, parts, **options)
    epochs = fit(d, digits()[0], settings, loss=d.loss, validation=digits()[1], progress=False)
    return d, epochs


@pytest.mark.parametrize("parts", [Distilling(0, soft=1), Distilling(0, hard=1, soft=0)])
def test_it_learns_without_labels(parts):
    teacher = trained()
    student = to_module(small())
    d = Distillation(student, teacher, parts)
    x, y = digits()[0]
    fit(d, (x, np.zeros_like(y)), Settings(8, 64, 0.01), loss=d.loss, progress=False)
    assert lost(student) < 0.25
    assert same_graph(teacher, trained())


@pytest.mark.parametrize(("kind", "most"), [("features", 0.65), ("attention", 0.4)])
def test_what_happens_inside_comes_nearer_to_the_teacher(kind, most):
    """Attention also falls, to 0.6 and more of what it was, in a training with labels alone."""
    layers = [CONV, DEPTHWISE]
    teacher = tapped(trained(), layers)
    student = to_module(tapped(small(6), layers))
    d = Distillation(student, teacher, Distilling(1, soft=0, **{kind: 3.0}))
    assert len(d.maps) == (2 if kind == "features" else 0)

    def apart():
        x = torch.as_tensor(digits()[1][0])
        with torch.no_grad():
            pairs = list(zip(student(x)[1:], to_module(teacher)(x)[1:], strict=True))
            if kind == "attention":
                return float(sum(attention_loss(a, b) for a, b in pairs))
            return float(sum(feature_loss(m(a), b) for m, (a, b) in zip(d.maps, pairs, strict=True)))

    before = apart()
    fit(d, digits()[0], Settings(3, 64, 0.01), loss=d.loss, progress=False)
    assert len(untapped(to_graph(student)).outputs) == 1
    assert apart() < most * before


def test_evaluation_is_about_labels_and_the_state_is_the_students():
    student = to_module(small())
    d, epochs = distilled(student, trained(), Distilling(), Settings(1, 64, 0.005))
    assert epochs[-1].validation_loss == evaluate(student, digits()[1])[0]
    assert {k.removeprefix("student.") for k in d.state_dict()} == set(student.state_dict())


def test_probabilities_of_either_are_understood():
    x = torch.as_tensor(digits()[0][0][:20])
    y = torch.as_tensor(digits()[0][1][:20])
    losses = []
    for s in (small(), softmaxed(small())):
        for t in (trained(), softmaxed(trained())):
            d = Distillation(to_module(s), t, Distilling(0.5, hard=0.5, soft=1))
            losses.append(float(d.train().loss(d(x), y).detach()))
    # Not to the bit: probabilities count as at least 1e-8.
    assert np.allclose(losses, losses[0], rtol=1e-2)


def test_a_teacher_of_pytorch_itself():
    class Channels(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = network()

        def forward(self, x):
            return self.net(x.permute(0, 3, 1, 2))

    teacher = Channels()
    before = copy.deepcopy(teacher.state_dict())
    d, _ = distilled(to_module(small()), teacher, Distilling(), Settings(1, 64))
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items()) and d.maps is not None


def test_pruned_shared_quantized_and_distilled_in_one_training():
    layers = [CONV]
    pruned = to_module(trained())
    prune(pruned, {HIDDEN: 0.8})
    graphs = []
    for _ in range(2):
        module = quantization_aware(tapped(to_graph(pruned), layers), digits()[0][0][:100])
        keep_zeros(module)
        share(module, {"*": 16})
        parts = Distilling(0.2, soft=0.8, features=0.1, attention=0.1)
        distilled(module, tapped(trained(), layers), parts, Settings(2, 64, 0.003))
        graphs.append(untapped(to_graph(module)))
    assert same_graph(*graphs)
    graph = verify(graphs[0], "quantized")
    for node in graph.nodes:
        if node.op.weighted:
            data = graph.tensors[node.inputs[1]].data
            assert len(np.unique(data)) <= 16 and (node.name != HIDDEN or (data == 0).mean() >= 0.8 - 1e-4)
    x = digits()[1][0]
    t = graph.tensors[graph.inputs[0]]
    q = np.clip(np.round(x[:100] / t.scale) + t.zero_point, -128, 127).astype(np.int8)
    [found] = interpret.run(graph, [q])
    assert (found[:, 0] == module.integers(x[:100])[0]).all()


def test_repeatable_and_the_seed_matters_for_the_maps():
    runs = []
    for seed in (0, 0, 1):
        student = to_module(tapped(small(), [CONV]))
        distilled(student, tapped(trained(), [CONV]), Distilling(features=1), Settings(1, 64), seed=seed)
        runs.append(to_graph(student))
    assert same_graph(runs[0], runs[1]) and not same_graph(runs[0], runs[2])


@pytest.mark.parametrize(
    ("student", "teacher", "parts", "said"),
    [
        ([], [], Distilling(soft=-1), r"distillation, soft: is -1\. Allowed: 0 or more"),
        ([], [], Distilling(0, soft=0), "every part of the loss is 0"),
        ([], [], Distilling(temperature=0), "temperature: is 0"),
        ([], [], Distilling(features=1), "the student has 0 tapped layers, the teacher 0"),
        ([CONV], [CONV, DEPTHWISE], Distilling(attention=1), "the student has 1 tapped layers, the teacher 2"),
        ([CONV], [DEPTHWISE], Distilling(features=1), r"pair 1: .* gives \[6, 6, 3\], the teacher \[4, 4, 8\]"),
        ([HIDDEN], [HIDDEN], Distilling(attention=1), r"Allowed: \[height, width, channels\]"),
    ],
)
def test_what_is_refused(student, teacher, parts, said):
    with pytest.raises(DataError, match=said):
        Distillation(to_module(tapped(small(), student)), tapped(trained(), teacher), parts)


def test_another_number_of_classes_is_refused():
    teacher = simplify(frontend.load(nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), torch.zeros(1, 1, 8, 8), "seven"))
    with pytest.raises(DataError, match=r"the student gives \[10\], the teacher \[7\]"):
        Distillation(to_module(small()), teacher)
    assert len(weights_of(to_module(teacher))) == 1
