"""Differentiable k-means: soft assignments that harden into the codebooks of share.py."""

import numpy as np
import pytest
import torch
from digits_model import CONV, HIDDEN, LOGITS, accuracy, digits, lost, refused_whole, trained
from floats import same_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from intaglio.compress import soft_share
from intaglio.compress.layers import weights_of
from intaglio.compress.prune import prune
from intaglio.compress.share import Codebook, share
from intaglio.compress.soft_share import COLD, WARM, SoftCodebook, SoftShare, harden
from intaglio.errors import DataError
from intaglio.frontends import torch as frontend
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.post_training import quantize
from intaglio.train import quantization_aware, to_graph, to_module
from intaglio.train.loop import Settings, fit

torch.set_num_threads(1)
BRIEF = Settings(2, 64, 0.003)


def values(module):
    return {w.name: w.value().numpy().copy() for w in weights_of(module)}


def cold(book):
    book.temperature.fill_(1e-4)
    return book


# ---- attention ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(2, 12), st.booleans())
@settings(max_examples=25, deadline=None)
def test_soft_weights_lie_between_centres_and_on_them_when_cold(seed, k, zeros):
    torch.manual_seed(seed)
    weights = torch.randn(20, 15)
    if zeros:
        weights[torch.rand(20, 15) < 0.4] = 0
    book = SoftCodebook(weights, k)
    for _ in range(3):
        found = book.train()(weights)
    assert (found[weights == 0] == 0).all() and found.shape == weights.shape
    ordered = book.centres
    assert len(ordered) == k - zeros and (ordered.diff() > 0).all()
    rest = found[weights != 0]
    assert rest.min() >= ordered[0] - 1e-5 and rest.max() <= ordered[-1] + 1e-5
    assert len(rest.unique()) > 2 * k or k > 8 or len(ordered) == 1
    # The softmax, spelled out.
    at = weights[weights != 0].double()
    far = -((at[:, None] - ordered.double()) ** 2) / float(book.unit * book.temperature)
    wanted = (far.exp() * ordered).sum(1) / far.exp().sum(1)
    assert torch.allclose(book.eval()(weights)[weights != 0].double(), wanted, atol=1e-5)
    soft, hard = cold(book)(weights), book.hard(weights, 0)
    assert hard.zero == zeros
    step = float(hard.grid().scale[0])
    # But for one that lies half way between two.
    assert ((hard(None).detach() - soft).abs() > 0.51 * step + 1e-6).float().mean() < 0.01


def test_a_cold_round_is_one_of_k_means():
    torch.manual_seed(0)
    weights = torch.randn(500)
    book = cold(SoftCodebook(weights, 4))
    with torch.no_grad():
        book.centres.copy_(torch.tensor([-1.0, -0.5, 0.5, 2.0]))
    book.train()
    for _ in range(40):
        book(weights)
    index = (weights[:, None] - book.centres).abs().argmin(1)
    means = torch.stack([weights[index == i].mean() for i in range(4)])
    assert torch.allclose(book.centres, means, atol=1e-4)


def test_the_gradient_of_the_last_round():
    torch.manual_seed(1)
    weights = torch.randn(12, dtype=torch.float64, requires_grad=True)
    book = SoftCodebook(weights.detach(), 3).double().train()
    start = book.centres.clone()

    def run(w):
        # As the rounds before the last one find them, whatever w is.
        with torch.no_grad():
            book.centres.copy_(start)
        return book(w)

    old, soft_share.ROUNDS = soft_share.ROUNDS, 1
    try:
        assert torch.autograd.gradcheck(run, (weights,), eps=1e-6, atol=1e-6)
    finally:
        soft_share.ROUNDS = old


def test_many_weights_are_attended_to_in_portions(monkeypatch):
    torch.manual_seed(2)
    weights, target = torch.randn(40, 50), torch.randn(40, 50)
    found, sizes = [], []
    attention = soft_share._attention
    monkeypatch.setattr(soft_share, "_attention", lambda *a: sizes.append(attention(*a).numel()) or attention(*a))
    for portion in (1 << 20, 700):
        monkeypatch.setattr(soft_share, "PORTION", portion)
        sizes.clear()
        w = weights.clone().requires_grad_(True)
        book = SoftCodebook(weights, 8).train()
        soft = book(w)
        forward = len(sizes)
        (soft * target).sum().backward()
        # Computed again backwards, of the last round and the mixture, only where they are many.
        again = len(sizes) - forward
        assert again == (0 if portion > 16000 else 2 * 23) and max(sizes) <= min(portion, 16000)
        found.append((soft.detach(), w.grad, book.centres.clone()))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    "weights", [torch.zeros(3, 4), torch.tensor([[1.0, -1.0], [1.0, 0.0]]), torch.full((5,), 2e-20)]
)
def test_weights_of_few_values(weights):
    book = SoftCodebook(weights, 4).train()
    w = weights.clone().requires_grad_(True)
    found = book(w)
    assert torch.allclose(found, weights, rtol=1e-5, atol=0)
    found.sum().backward()
    assert bool(torch.isfinite(w.grad).all())
    assert torch.allclose(book.hard(weights, 0)(None), weights, rtol=0.01, atol=0)


# ---- training -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "allowed"), [(2, 0.2), (3, 0.1)])
def test_few_values_that_the_training_saw_coming_are_better(k, allowed):
    soft, hard = to_module(trained()), to_module(trained())
    cooling = SoftShare(soft, k)
    seen = []
    fit(soft, digits()[0], Settings(4, 64, 0.003), after_step=lambda p: cooling(p) or seen.append(p), progress=False)
    assert all(float(b.temperature) == pytest.approx(COLD) for b in cooling.books) and len(seen) == 80
    errors = harden(soft)
    # k-means of the same weights, of which no training knew.
    apart = share(hard, k)
    assert list(errors) == list(apart) and all(errors[name] < 0.2 * apart[name] for name in apart)
    assert accuracy(soft) > accuracy(hard) + 0.15 and lost(soft) < allowed
    graph = to_graph(soft)
    integers = quantize(graph, calibrate(graph, digits()[0][0][:50]))
    for node in integers.nodes:
        t = integers.tensors[node.inputs[1]] if len(node.inputs) > 2 else None
        if t is not None and t.data is not None and t.dtype == "int8":
            assert len(np.unique(t.data)) <= k and t.quant.per_tensor


def test_the_temperature_falls_to_its_end_and_stays():
    module = to_module(trained())
    soft = SoftShare(module, {HIDDEN: 4}, end=0.5)
    [book] = soft.books
    found = []
    for part in (0.0, 0.25, 0.5, 0.9):
        soft(part)
        found.append(float(book.temperature))
    assert found == pytest.approx([WARM, (WARM * COLD) ** 0.5, COLD, COLD])


def test_pruned_weights_stay_zero_in_the_integers_of_the_device():
    module = quantization_aware(trained(), digits()[0][0][:64])
    prune(module, {HIDDEN: 0.8})
    gone = values(module)[HIDDEN] == 0
    soft = SoftShare(module, {HIDDEN: 4, LOGITS: 8})
    fit(module, digits()[0], BRIEF, after_step=soft, progress=False)
    assert (values(module)[HIDDEN][gone] == 0).all()
    harden(module)
    fit(module, digits()[0], Settings(1, 64), progress=False)
    graph = to_graph(module)
    found = {n.name: graph.tensors[n.inputs[1]].data for n in graph.nodes if n.name in (HIDDEN, LOGITS)}
    assert (
        (found[HIDDEN][gone] == 0).all() and len(np.unique(found[HIDDEN])) <= 4 and len(np.unique(found[LOGITS])) <= 8
    )
    assert lost(module) < 0.12


def test_interrupted_it_goes_on_to_the_same_bytes(tmp_path):
    def run(place, stop):
        module = to_module(trained())
        prune(module, {HIDDEN: 0.5})
        soft = SoftShare(module, 4)

        def step(part):
            soft(part)
            if part > stop:
                raise KeyboardInterrupt

        fit(module, digits()[0], Settings(3, 64, 0.003), checkpoint=place, after_step=step, progress=False)
        harden(module)
        return to_graph(module)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a.pt", 0.5)
    assert same_graph(run(tmp_path / "a.pt", 1), run(tmp_path / "b.pt", 1))


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: SoftShare(m, 1), r"entries of 'conv2d': is 1\. Allowed: a whole number, 2 to 256"),
        (lambda m: SoftShare(m, {CONV: 8, "linaer": 8}), "no layer is called 'linaer'. Allowed: linear"),
        (lambda m: SoftShare(m, 8, end=0), "soft sharing, end: is 0"),
        (lambda m: SoftShare(m, 8, end=1.5), "soft sharing, end: is 1.5"),
    ],
)
def test_what_is_refused_changes_nothing(call, said):
    refused_whole(call, said)


def test_a_layer_is_shared_once_and_pruned_before():
    module = to_module(trained())
    share(module, {CONV: 8})
    with pytest.raises(DataError, match="'conv2d': shares its weights already"):
        SoftShare(module, 8)
    SoftShare(module, {HIDDEN: 4})
    for call in (lambda: share(module, {HIDDEN: 4}), lambda: prune(module, {HIDDEN: 0.5})):
        with pytest.raises(DataError, match="'linear': shares its weights already"):
            call()
    assert harden(module).keys() == {HIDDEN} and harden(module) == {}
    assert all(isinstance(w.steps()[-1], Codebook) for w in weights_of(module, [CONV, HIDDEN]))


def test_batch_norms_are_folded_first():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
    net[1].weight.data.uniform_(0.5, 2)
    module = to_module(frontend.load(net.eval(), torch.zeros(1, 1, 8, 8), "norm"))
    with pytest.raises(DataError, match="'conv2d': a batch norm behind it would change its weights"):
        SoftShare(module, 8)
