"""Learned pruning: gates and thresholds, what their penalty counts, and the masks that they become."""

import math

import numpy as np
import pytest
import torch
from digits_model import CONV, DEPTHWISE, HIDDEN, LOGITS, QUICK, accuracy, digits, lost, refused_whole, trained
from floats import same_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.compress.gates import Gates, Threshold, close_gates, gate, kept_part, l0, threshold
from intaglio.compress.layers import weights_of
from intaglio.compress.prune import prune, sparsity_of
from intaglio.compress.share import share
from intaglio.errors import DataError
from intaglio.train import quantization_aware, to_graph, to_module
from intaglio.train.loop import Settings, fit

torch.set_num_threads(1)
LEARN = Settings(15, 64, 0.003)


def values(module):
    return {w.name: w.value().numpy().copy() for w in weights_of(module)}


def left(module):
    """The part of all weights that is not zero."""
    found = np.concatenate([v.ravel() for v in values(module).values()])
    return (found != 0).mean()


# ---- one parametrization ------------------------------------------------------------------------------------------


@given(st.floats(0.05, 0.95), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_gates_are_open_as_often_as_their_odds_say(start, seed):
    torch.manual_seed(seed)
    gates = Gates((40, 50), 2000, start).train()
    weights = torch.randn(40, 50)
    found = [gates(weights).detach() for _ in range(20)]
    part = float(torch.stack([(f != 0).float().mean() for f in found]).mean())
    assert abs(part - start) < 4 * math.sqrt(start * (1 - start) / 40000) + 1e-3
    assert float(gates.kept(weights).detach()) == pytest.approx(2000 * start, rel=1e-4)
    for f in found:
        assert not torch.signbit(f[f == 0]).any() and (f.abs() <= weights.abs()).all() and (f * weights >= 0).all()
    assert any((f == weights).any() for f in found)  # wide open, too
    gates.eval()
    assert torch.equal(gates(weights), gates(weights))


def test_a_gate_a_channel_closes_the_whole_filter():
    gates = Gates((1, 1, 1, 6), 3 * 3 * 6, 0.5).train()
    torch.manual_seed(0)
    for _ in range(20):
        found = gates(torch.ones(1, 3, 3, 6))
        assert (found == found[:, :1, :1]).all()
    assert float(gates.kept(None).detach()) == pytest.approx(27)


@given(st.floats(-9, 3), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_a_threshold_shrinks_what_it_leaves(logit, seed):
    torch.manual_seed(seed)
    weights = torch.randn(30, 20) * 0.1
    step = Threshold(weights)
    with torch.no_grad():
        step.logit.fill_(logit / 100)
    found = step(weights).detach()
    bound = float(weights.abs().max()) / (1 + math.exp(-logit))
    gone = found == 0
    assert (weights[gone].abs() <= bound * 1.0001).all() and (weights[~gone].abs() >= bound * 0.9999).all()
    assert torch.allclose((weights - found)[~gone], weights.sign()[~gone] * bound, rtol=1e-3, atol=1e-6)
    assert not torch.signbit(found[gone]).any()
    assert float(step.kept(weights).detach()) == pytest.approx(float((~gone).sum()), abs=60)


def test_a_threshold_of_zeros_is_finite():
    step = Threshold(torch.zeros(3, 4))
    kept = step.kept(torch.zeros(3, 4))
    kept.backward()
    assert (step(torch.zeros(3, 4)) == 0).all() and bool(torch.isfinite(kept)) and bool(torch.isfinite(step.logit.grad))


# ---- the penalty --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("give", [gate, threshold])
def test_the_penalty_counts_what_is_above_the_schedule(give):
    module = to_module(trained())
    give(module)
    part = kept_part(module)
    assert part == pytest.approx(0.9, abs=1e-4) if give is gate else part > 0.8
    charge = l0(0.2, 5.0, end=0.5)
    assert float(charge(module, 0.0).detach()) == 0
    assert float(charge(module, 0.5).detach()) == pytest.approx(5 * (part - 0.2), rel=1e-4)
    assert float(charge(module, 0.9).detach()) == pytest.approx(5 * (part - 0.2), rel=1e-4)
    middle = 0.2 + 0.8 * 0.5**3
    assert float(charge(module, 0.25).detach()) == pytest.approx(5 * (part - middle), rel=1e-4)
    charge(module, 1.0).backward()
    learned = [w.steps()[0] for w in weights_of(module)]
    assert all((next(s.parameters()).grad != 0).any() for s in learned)
    # It moves gates and thresholds, not weights.
    assert all(w.original().grad is None for w in weights_of(module))


def test_without_gates_there_is_nothing_to_count():
    with pytest.raises(DataError, match="no gates and no threshold"):
        l0(0.1)(to_module(trained()), 0.0)


# ---- training -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("give", "most", "allowed"), [(gate, 0.2, 0.07), (threshold, 0.2, 0.07)])
def test_digits_keep_their_accuracy_with_few_weights(give, most, allowed):
    module = to_module(trained())
    give(module)
    fit(module, digits()[0], LEARN, penalty=l0(0.1, 50.0), progress=False)
    learned, sure = values(module), accuracy(module)
    assert 0.05 < left(module) < most and abs(kept_part(module) - left(module)) < 0.02
    module.train()  # whose gates are tossed
    found = close_gates(module)
    assert module.training
    # The same weights, as masks.
    assert all((v == learned[k]).all() for k, v in values(module).items()) and accuracy(module) == sure
    assert sparsity_of(to_graph(module)) == found
    # The training found where weights matter: most of all in the large layer they do not.
    assert found[HIDDEN] > 0.85 > found[CONV] and found[HIDDEN] > found[LOGITS]
    fit(module, digits()[0], QUICK, progress=False)
    assert sparsity_of(to_graph(module)) == found and lost(module) < allowed
    # A threshold for each magnitude at once, not tuned: much worse.
    other = to_module(trained())
    prune(other, 1 - left(module), scope="global")
    assert lost(other) > 0.15


def test_channels_close_whole():
    module = to_module(trained())
    gate(module, [CONV, HIDDEN], per="channel")
    fit(module, digits()[0], LEARN, penalty=l0(0.4, 50.0), progress=False)
    found = close_gates(module)
    for name, axis in ((CONV, 0), (HIDDEN, 0)):
        rows = np.moveaxis(values(module)[name], axis, 0).reshape(values(module)[name].shape[axis], -1)
        assert ((rows != 0).all(1) | (rows == 0).all(1)).all()
    assert found[HIDDEN] > 0.4 and lost(module) < 0.12


def test_in_the_integers_of_the_device_and_then_shared():
    graphs = []
    for _ in range(2):
        module = quantization_aware(trained(), digits()[0][0][:64])
        gate(module, ["linear*"])
        fit(module, digits()[0], Settings(4, 64, 0.003), penalty=l0(0.3, 50.0), progress=False)
        found = close_gates(module)
        assert found[HIDDEN] > 0.4
        share(module, {HIDDEN: 8})
        fit(module, digits()[0], Settings(1, 64), progress=False)
        graphs.append(to_graph(module))
        assert sparsity_of(graphs[-1])[HIDDEN] >= found[HIDDEN] and lost(module) < 0.12
    assert same_graph(*graphs)


def test_integers_are_computed_with_the_gates_that_learn():
    """One toss a step: the integers, and what their gradients go to, are of the same weights."""
    module = quantization_aware(trained(), digits()[0][0][:64]).train()
    gate(module, [HIDDEN], start=0.5)
    [w] = weights_of(module, [HIDDEN])
    tosses = []
    w.steps()[0].register_forward_hook(lambda m, i, out: tosses.append(out))
    module(torch.as_tensor(digits()[0][0][:8])).sum().backward()
    assert len(tosses) == 1
    closed = tosses[0] == 0
    gradient = w.original().grad
    assert (gradient[closed] == 0).all() and (gradient[~closed] != 0).float().mean() > 0.2


def test_a_training_of_gates_resumes_to_the_same_bytes(tmp_path):
    def run(place, stop):
        module = to_module(trained())
        gate(module, [HIDDEN])
        threshold(module, [LOGITS])

        def after(part):
            if part > stop:
                raise KeyboardInterrupt

        short = Settings(3, 64, 0.003)
        penalty = l0(0.2)
        fit(module, digits()[0], short, penalty=penalty, checkpoint=place, after_step=after, progress=False)
        close_gates(module)
        return to_graph(module)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a.pt", 0.5)
    assert same_graph(run(tmp_path / "a.pt", 1), run(tmp_path / "b.pt", 1))


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: gate(m, start=1.0), r"gate, start: is 1\.0\. Allowed: above 0 and below 1"),
        (lambda m: gate(m, per="row"), "per: is 'row'. Allowed: weight, channel"),
        (lambda m: gate(m, ["linaer"]), r"gate, layers: no layer is called 'linaer'\. Allowed: linear"),
        (lambda m: threshold(m, ["x"]), "threshold, layers: no layer is called 'x'"),
        (lambda m: l0(1.0), "density: is 1.0"),
        (lambda m: l0(0.1, -1), "strength: is -1"),
        (lambda m: l0(0.1, math.inf), "strength: is inf"),
        (lambda m: l0(0.1, end=0), "end: is 0"),
    ],
)
def test_what_is_refused_changes_nothing(call, said):
    refused_whole(call, said)


def test_layers_that_have_a_parametrization_are_refused():
    module = to_module(trained())
    prune(module, {CONV: 0.5})
    gate(module, [DEPTHWISE])
    share(module, {HIDDEN: 4})
    for layer, said in ((CONV, "has a mask already"), (DEPTHWISE, "has gates"), (HIDDEN, "shares its weights already")):
        for give in (gate, threshold):
            with pytest.raises(DataError, match=said):
                give(module, [LOGITS, layer])
            assert not any(w.steps() for w in weights_of(module, [LOGITS]))


def test_a_layer_that_would_be_empty_is_told_of():
    module = to_module(trained()).eval()
    gate(module, [CONV])
    gate(module, [HIDDEN])
    with torch.no_grad():
        weights_of(module, [HIDDEN])[0].steps()[0].odds.fill_(-1.0)
    before = values(module)
    with pytest.raises(DataError, match="'linear': none of its 4096 weights would be left"):
        close_gates(module)
    assert all((v == before[k]).all() for k, v in values(module).items())
    assert [type(s) for w in weights_of(module, [CONV, HIDDEN]) for s in w.steps()] == [Gates, Gates]


def test_gates_are_closed_before_sharing():
    module = to_module(trained())
    gate(module, [CONV])
    share(module, {CONV: 4})
    with pytest.raises(DataError, match="'conv2d': shares its weights already"):
        close_gates(module)
