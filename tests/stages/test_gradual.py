"""Gradual pruning: the cubic schedule, regrowth, the same bytes after an interruption."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from digits_model import CONV, DEPTHWISE, HIDDEN, LOGITS, accuracy, digits, trained
from floats import same_graph

from intaglio.compress.gradual import Gradual, cubic
from intaglio.compress.layers import weights_of
from intaglio.compress.prune import prune, sparsity_of
from intaglio.compress.share import share
from intaglio.errors import DataError
from intaglio.train import quantization_aware, to_graph, to_module
from intaglio.train.loop import Settings, fit

torch.set_num_threads(1)
SHORT = Settings(3, 64, 0.003)


def trained_with(module, gradual, after=None, **options):
    """Trains, and gives what `after` finds after each step."""
    found = []

    def step(part):
        gradual(part)
        if after is not None:
            found.append((part, after()))

    fit(module, digits()[0], options.pop("settings", SHORT), after_step=step, progress=False, **options)
    return found


def test_the_schedule():
    assert cubic(0.2, 0.8, 0) == pytest.approx(0.2) and cubic(0.2, 0.8, 1) == 0.8
    assert cubic(0, 0.8, 0.5) == pytest.approx(0.7)


def test_sparsity_follows_the_schedule_and_stays():
    module = to_module(trained())
    gradual = Gradual(module, {"*": 0.8, LOGITS: 0.4}, initial=0.2, begin=0.1, end=0.6, updates=10, regrowth=0)
    found = trained_with(module, gradual, gradual.sparsity)
    size = {w.name: w.value().numel() for w in weights_of(module)}
    for part, sparsity in found:
        along = np.clip(np.floor((part - 0.1) / 0.5 * 10 + 1e-6) / 10, 0, 1)
        for name, final in ((HIDDEN, 0.8), (LOGITS, 0.4), (CONV, 0.8)):
            wanted = 0 if part < 0.1 else final + (0.2 - final) * (1 - along) ** 3
            # The first update is at the first step of the schedule.
            if part >= 0.16 or part < 0.1:
                assert abs(sparsity[name] - wanted) <= 1 / size[name]
    last = sparsity_of(to_graph(module))
    assert last[HIDDEN] == pytest.approx(0.8, abs=1e-4) and last[LOGITS] == pytest.approx(0.4, abs=0.004)
    assert [s[HIDDEN] for _, s in found] == sorted(s[HIDDEN] for _, s in found)


def test_without_regrowth_nothing_comes_back_and_with_it_much_does():
    gone = {}
    for regrowth in (0.0, 0.3):
        module = to_module(trained())
        gradual = Gradual(module, {HIDDEN: 0.9}, end=0.7, updates=12, regrowth=regrowth)
        first = gradual.layers[0][0]
        masks = [m for _, m in trained_with(module, gradual, lambda w=first: w.steps()[0].mask.clone())]
        back = sum(int((~a & b).sum()) for a, b in pairwise(masks))
        gone[regrowth] = back
        assert sparsity_of(to_graph(module))[HIDDEN] == pytest.approx(0.9, abs=0.002)
    assert gone[0.0] == 0 and gone[0.3] > 20


def test_what_comes_back_has_the_largest_gradients_and_starts_from_zero():
    module = to_module(trained())
    gradual = Gradual(module, {HIDDEN: 0.6}, begin=0.0, end=1.0, updates=4, regrowth=0.25)
    w = gradual.layers[0][0]
    x, y = (torch.as_tensor(a[:256]) for a in digits()[0])

    def gradient():
        module.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()

    gradient()
    gradual(0.5)
    before, mask = w.value().clone(), w.steps()[0].mask.clone()
    w.original().data += 0.01  # as a step would move removed ones too
    gradient()
    dense = w.steps()[0].gradient.abs()
    assert (dense[~mask] > 0).any()  # removed weights have one
    value = w.value().abs()
    gradual(0.75)
    after = w.steps()[0].mask
    size = value.numel()
    least = round(cubic(0, 0.6, 0.75) * size)
    grown = round(0.25 * 0.5 * (1 + np.cos(np.pi * 0.75)) * (size - least))
    kept = torch.zeros(size, dtype=torch.bool)
    kept[value.flatten().argsort(stable=True)[least + grown :]] = True
    back = after.flatten() & ~kept
    assert grown > 0 and back.sum() == grown and (after.flatten()[kept]).all()
    others = ~(after.flatten() | kept)
    assert dense.flatten()[back].min() >= dense.flatten()[others].max()
    new = after & ~mask
    assert new.any() and (w.value()[new] == 0).all() and (w.original()[new] == 0).all()
    assert before.shape == after.shape


def test_gradual_beats_one_shot_before_fine_tuning():
    module, other = to_module(trained()), to_module(trained())
    gradual = Gradual(module, 0.8, updates=20, end=0.6)
    trained_with(module, gradual, settings=Settings(4, 64, 0.003))
    prune(other, 0.8)
    assert accuracy(module) > accuracy(other) + 0.2


@pytest.mark.parametrize("stop", [0.4, 0.7])
def test_interrupted_it_goes_on_to_the_same_bytes(tmp_path, stop):
    def run(place, until):
        module = to_module(trained())
        gradual = Gradual(module, 0.8, updates=48, end=0.8, regrowth=0.3)  # an update at every step

        def step(part):
            gradual(part)
            if part > until:
                raise KeyboardInterrupt

        fit(module, digits()[0], SHORT, checkpoint=place, after_step=step, progress=False)
        return to_graph(module)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a.pt", stop)
    assert same_graph(run(tmp_path / "a.pt", 1), run(tmp_path / "b.pt", 1))


def test_blocks_and_the_zeros_that_are_there():
    first = to_module(trained())
    prune(first, {HIDDEN: 0.5}, block=(2, 4))
    module = to_module(to_graph(first))
    gradual = Gradual(module, {HIDDEN: 0.75}, block=(2, 4), updates=5)
    seen = [s[HIDDEN] for _, s in trained_with(module, gradual, gradual.sparsity, settings=Settings(1, 64))]
    assert min(seen) >= 0.5 and seen[-1] == pytest.approx(0.75, abs=0.002)
    blocks = weights_of(module, [HIDDEN])[0].steps()[0].mask.numpy().reshape(16, 2, -1, 4)
    assert blocks.mean() == 0.25
    assert (blocks.all((1, 3)) | ~blocks.any((1, 3))).all()


def test_in_the_integers_of_the_device_and_then_shared():
    module = quantization_aware(trained(), digits()[0][0][:64])
    gradual = Gradual(module, {HIDDEN: 0.8, DEPTHWISE: 0.5}, updates=6)
    trained_with(module, gradual, settings=Settings(1, 64))
    assert sparsity_of(to_graph(module))[HIDDEN] >= 0.8 - 1e-4
    share(module, {HIDDEN: 4})
    fit(module, digits()[0], Settings(1, 64), progress=False)
    found = sparsity_of(to_graph(module))
    assert found[HIDDEN] >= 0.8 - 1e-4 and found[DEPTHWISE] >= 0.5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sparsity": 1.0}, "is 1.0"),
        ({"sparsity": {"conv3d": 0.5}}, r"no layer is called 'conv3d'\. Allowed: conv2d"),
        ({"sparsity": {CONV: 0.995}}, "none of its 72 weights would be left"),
        ({"initial": 1.0}, "initial: is 1.0"),
        ({"begin": -0.1}, "begin: is -0.1"),
        ({"begin": 0.8, "end": 0.5}, r"end: is 0\.5\. Allowed: above begin"),
        ({"updates": 0}, "updates: is 0"),
        ({"regrowth": 1.0}, "regrowth: is 1.0"),
    ],
)
def test_what_is_refused_changes_nothing(options, said):
    module = to_module(trained())
    with pytest.raises(DataError, match=said):
        Gradual(module, **{"sparsity": 0.5, **options})
    assert not any(w.steps() for w in weights_of(module))


def test_a_masked_layer_is_refused():
    module = to_module(trained())
    prune(module, {CONV: 0.5})
    with pytest.raises(DataError, match="'conv2d': has a mask already"):
        Gradual(module, 0.5)
