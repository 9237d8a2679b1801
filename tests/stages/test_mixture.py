"""Soft weight-sharing: a mixture of Gaussians as prior, that ends as the codebooks of share.py."""

import numpy as np
import pytest
import torch
from digits_model import CONV, HIDDEN, LOGITS, digits, lost, refused_whole, trained
from floats import same_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.compress import mixture as mixture_module
from intaglio.compress.distil import Distillation
from intaglio.compress.gates import gate, l0
from intaglio.compress.layers import weights_of
from intaglio.compress.mixture import NARROW, WIDE, Mixture, mix, mixture_prior
from intaglio.compress.prune import prune
from intaglio.compress.share import Codebook, share
from intaglio.compress.slim import group_lasso
from intaglio.compress.soft_share import SoftShare, harden
from intaglio.errors import DataError
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.post_training import quantize
from intaglio.train import quantization_aware, to_graph, to_module
from intaglio.train.loop import Settings, fit

torch.set_num_threads(1)


def values(module):
    return {w.name: w.value().numpy().copy() for w in weights_of(module)}


def density(values, mixture):
    """Of each weight, in units of the layer, spelled out."""
    x, means, deviations = (t.double()[:, None] for t in (values, mixture.means, mixture.deviations))
    normal = torch.distributions.Normal(means.T, deviations.T)
    return (mixture.shares.double() * normal.log_prob(x).exp()).sum(1) * float(mixture.unit)


@given(st.integers(0, 2**31), st.integers(2, 9), st.sampled_from([0.0, 0.4]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_prior_is_that_of_the_mixture_and_so_is_its_gradient(seed, k, zeros, pruned):
    torch.manual_seed(seed)
    weights = torch.randn(20, 15)
    if pruned:
        weights[torch.rand(20, 15) < 0.4] = 0
    mixture = Mixture(weights, k, zeros)
    for moved in range(2):
        w = (weights + 0.01 * torch.randn(20, 15)).requires_grad_(True)
        x = w.detach()[mixture.filled].clone().requires_grad_(True)
        wanted = -density(x, mixture).log().sum()
        wanted.backward()
        found = mixture.surprise(w)
        found.backward()
        assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-4), moved
        assert torch.allclose(w.grad[mixture.filled], x.grad, rtol=1e-3, atol=1e-3)
        assert (w.grad[~mixture.filled] == 0).all()
    assert torch.equal(mixture(weights), weights)
    assert float(mixture.shares.sum()) == pytest.approx(1, abs=1e-5)
    if zeros:
        assert mixture.means[0] == 0 and float(mixture.shares[0]) == pytest.approx(zeros)
    book = mixture.hard(weights, 0)
    assert len(book(None).detach().unique()) <= k and book.zero == (pruned or zeros > 0)


def test_weights_are_looked_at_in_portions(monkeypatch):
    torch.manual_seed(3)
    weights = torch.randn(40, 50)
    found = []
    for portion in (1 << 20, 700):
        monkeypatch.setattr(mixture_module, "PORTION", portion)
        mixture = Mixture(weights, 8, 0.3)
        w = weights.clone().requires_grad_(True)
        value = mixture.surprise(w)
        value.backward()
        found.append((value.detach(), w.grad, mixture.means.clone(), mixture.hard(weights, 0)(None).detach()))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("size", [1e-22, 1e-35, 1e18])
def test_weights_of_extreme_sizes(size):
    torch.manual_seed(0)
    weights = torch.randn(50) * size
    mixture = Mixture(weights, 4, 0.0)
    w = (weights + 1e-3).requires_grad_(True)
    for _ in range(3):
        value = mixture.surprise(w)
    value.backward()
    assert bool(torch.isfinite(value.detach())) and bool(torch.isfinite(w.grad).all())


def test_an_entry_that_no_weight_has_makes_the_grid_no_coarser():
    weights = torch.cat([torch.full((50,), 0.1), torch.full((50,), -0.1)]) + 0.01 * torch.randn(100)
    mixture = Mixture(weights, 3, 0.0)
    with torch.no_grad():
        mixture.means.copy_(torch.tensor([-0.1, 0.1, 40.0]))
        mixture.deviations.fill_(0.05)
    assert float(mixture.hard(weights, 0).grid().scale[0]) == pytest.approx(0.1 / 127)


def test_components_move_to_where_the_weights_are():
    torch.manual_seed(0)
    places = torch.tensor([-1.0, 0.2, 0.9])
    weights = places[torch.randint(0, 3, (600,))] + 0.03 * torch.randn(600)
    mixture = Mixture(weights, 3, 0.0)
    with torch.no_grad():
        mixture.means.copy_(torch.tensor([-0.7, 0.0, 0.6]))
        mixture.deviations.fill_(0.3)
    before = float(mixture.surprise(weights))
    for _ in range(60):
        after = float(mixture.surprise(weights))
    assert after < before and torch.allclose(mixture.means, places, atol=0.01)
    assert (mixture.deviations < 0.06).all() and (mixture.deviations > 0.01).all()
    assert torch.allclose(mixture.shares, torch.full((3,), 1 / 3), atol=0.1)
    assert (mixture.hard(weights, 0)(None) - weights).abs().max() < 0.15


@pytest.mark.parametrize(
    "weights", [torch.zeros(3, 4), torch.tensor([[1.0, -1.0], [1.0, 0.0]]), torch.full((5,), 2e-20)]
)
def test_weights_of_few_values(weights):
    mixture = Mixture(weights, 4, 0.0)
    w = (weights * 1.01).requires_grad_(True)
    for _ in range(3):
        found = mixture.surprise(w)
    found.backward()
    assert bool(torch.isfinite(found)) and bool(torch.isfinite(w.grad).all())
    assert torch.allclose(mixture.hard(weights, 0)(None), weights, rtol=0.03, atol=0)


def test_the_prior_gathers_weights_around_four_values():
    soft = to_module(trained())
    mix(soft, 4)
    mixtures = [step for w in weights_of(soft) for step in w.steps()]
    assert all(float(m.most) == pytest.approx(WIDE) for m in mixtures)
    fit(soft, digits()[0], Settings(6, 64, 0.003), penalty=mixture_prior(), progress=False)
    assert all(float(m.most) == pytest.approx(NARROW) for m in mixtures)
    errors = harden(soft)
    # Of weights that no prior gathered, four values of k-means leave 0.36 to 0.38.
    apart = share(to_module(trained()), 4)
    assert list(errors) == list(apart) and all(errors[name] < 0.5 * apart[name] for name in apart)
    graph = to_graph(soft)
    integers = quantize(graph, calibrate(graph, digits()[0][0][:50]))
    for node in integers.nodes:
        t = integers.tensors[node.inputs[1]] if len(node.inputs) > 2 else None
        if t is not None and t.data is not None and t.dtype == "int8":
            assert len(np.unique(t.data)) <= 4 and t.quant.per_tensor
    fit(soft, digits()[0], Settings(2, 64, 0.003), progress=False)
    assert lost(soft) < 0.12


def test_the_component_at_zero_prunes():
    module = to_module(trained())
    mix(module, {HIDDEN: 8, LOGITS: 8}, zeros={HIDDEN: 0.7})
    fit(module, digits()[0], Settings(6, 64, 0.003), penalty=mixture_prior(), progress=False)
    harden(module)
    fit(module, digits()[0], Settings(1, 64, 0.003), progress=False)
    found = values(module)
    assert (found[HIDDEN] == 0).mean() > 0.35 and (found[LOGITS] == 0).mean() < 0.25 and lost(module) < 0.1
    assert all(len(np.unique(found[name])) <= 8 for name in (HIDDEN, LOGITS))
    assert len(np.unique(found[CONV])) > 8


def test_in_integers_what_was_pruned_stays_so():
    module = quantization_aware(trained(), digits()[0][0][:64])
    prune(module, {HIDDEN: 0.6})
    gone = values(module)[HIDDEN] == 0
    mix(module, {HIDDEN: 5})
    fit(module, digits()[0], Settings(2, 64, 0.003), penalty=mixture_prior(), progress=False)
    harden(module)
    fit(module, digits()[0], Settings(1, 64), progress=False)
    graph = to_graph(module)
    [found] = [graph.tensors[n.inputs[1]].data for n in graph.nodes if n.name == HIDDEN]
    assert (found[gone] == 0).all() and len(np.unique(found)) <= 5 and lost(module) < 0.12


def test_interrupted_it_goes_on_to_the_same_bytes(tmp_path):
    def run(place, stop):
        module = to_module(trained())
        mix(module, 4, zeros=0.3)

        def step(part):
            if part > stop:
                raise KeyboardInterrupt

        how = {"checkpoint": place, "after_step": step, "penalty": mixture_prior(), "progress": False}
        fit(module, digits()[0], Settings(3, 64, 0.003), **how)
        harden(module)
        return to_graph(module)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a.pt", 0.5)
    assert same_graph(run(tmp_path / "a.pt", 1), run(tmp_path / "b.pt", 1))


@pytest.mark.parametrize("kind", ["mixture", "gates", "lasso"])
def test_a_penalty_and_a_teacher(kind):
    """The penalty is given the Distillation, and looks at the student inside."""
    module = to_module(trained())
    penalty = {"mixture": mixture_prior(), "gates": l0(0.3), "lasso": group_lasso(trained(), 1e-3)}[kind]
    if kind == "mixture":
        mix(module, 4)
    elif kind == "gates":
        gate(module)
    taught = Distillation(module, trained()).eval()
    both = [float(penalty(m, 0.5).detach()) for m in (taught, module)]
    assert both[0] == both[1] > 0
    before = values(module)
    fit(taught, digits()[0], Settings(1, 64, 0.003), loss=taught.loss, penalty=penalty, progress=False)
    assert all((before[name] != after).any() for name, after in values(module).items())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: mix(m, 1), r"entries of 'conv2d': is 1\. Allowed: a whole number, 2 to 256"),
        (lambda m: mix(m, {CONV: 8, "linaer": 8}), "no layer is called 'linaer'. Allowed: linear"),
        (lambda m: mix(m, 8, zeros=1.0), "mix, zeros of 'conv2d': is 1.0. Allowed: at least 0 and below 1"),
        (lambda m: mix(m, 8, zeros={"linaer": 0.5}), "no layer is called 'linaer'. Allowed: linear"),
        (lambda m: mix(m, {HIDDEN: 8}, zeros={LOGITS: 0.5}), "zeros of 'linear_1': is given for a layer without entri"),
        (lambda m: mix(m, {HIDDEN: 8}, zeros={LOGITS: 7.0}), "zeros of 'linear_1': is 7.0"),
        (lambda m: mixture_prior(-1.0), "mixture prior, strength: is -1.0"),
        (lambda m: mixture_prior(end=0.0), "mixture prior, end: is 0.0"),
        (lambda m: mixture_prior()(m, 0.0), "the module has no mixture"),
    ],
)
def test_what_is_refused_changes_nothing(call, said):
    refused_whole(call, said)


def test_a_layer_is_shared_once():
    module = to_module(trained())
    mix(module, {CONV: 8})
    for call in (lambda: mix(module, {CONV: 8}), lambda: SoftShare(module, 8), lambda: share(module, 8)):
        with pytest.raises(DataError, match="'conv2d': shares its weights already"):
            call()
    assert harden(module).keys() == {CONV}
    assert all(isinstance(w.steps()[-1], Codebook) for w in weights_of(module, [CONV]))
