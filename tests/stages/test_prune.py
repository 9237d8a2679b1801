"""Magnitude pruning: what becomes zero, that it stays zero in training, and what is refused."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from digits_model import CONV, DEPTHWISE, HIDDEN, LOGITS, QUICK, digits, lost, refused_whole, trained
from floats import same_graph

from intaglio.compress import prune as pruning
from intaglio.compress.layers import weights_of
from intaglio.compress.prune import keep_zeros, prune, prune_iteratively, prune_n_of_m, sparsity_of
from intaglio.compress.share import share
from intaglio.errors import DataError
from intaglio.train import quantization_aware, to_graph, to_module
from intaglio.train.loop import Settings, fit

torch.set_num_threads(1)
LAYERS = [CONV, DEPTHWISE, HIDDEN, LOGITS]


def weights(module):
    return {w.name: w.value().numpy() for w in weights_of(module)}


def rows(value, layer):
    """[output channels][the rest]."""
    value = np.moveaxis(value, 3, 0) if layer == DEPTHWISE else value
    return value.reshape(len(value), -1)


def test_the_least_weights_of_each_layer_go():
    module = to_module(trained())
    before = weights(module)
    found = prune(module, 0.7)
    assert list(found) == LAYERS
    for name, value in weights(module).items():
        magnitude, gone = np.abs(before[name]), value == 0
        assert gone.sum() == round(0.7 * value.size) and found[name] == gone.mean()
        assert magnitude[gone].max() <= magnitude[~gone].min()
        assert (value[~gone] == before[name][~gone]).all()


def test_by_name_and_pattern_the_later_ones_win_and_others_are_left():
    module = to_module(trained())
    found = prune(module, {"linear*": 0.5, LOGITS: 0.25})
    assert found == {HIDDEN: 0.5, LOGITS: 0.25}
    assert sparsity_of(to_graph(module)) == {CONV: 0, DEPTHWISE: 0, **found}


def test_ranked_together_the_least_of_all_layers_go():
    module = to_module(trained())
    before = np.concatenate([v.ravel() for v in weights(module).values()])
    found = prune(module, 0.6, scope="global")
    after = np.concatenate([v.ravel() for v in weights(module).values()])
    assert (after == 0).sum() == round(0.6 * after.size)
    assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()
    assert found[HIDDEN] > 0.6 > found[CONV]


def test_layer_adaptive_magnitude_by_its_definition_whatever_the_scales():
    found = []
    for factor in (1.0, 1e-6):
        tensors = dict(trained().tensors)
        name = next(n.inputs[1] for n in trained().nodes if n.name == HIDDEN)
        tensors[name] = replace(tensors[name], data=tensors[name].data * np.float32(factor))
        module = to_module(replace(trained(), tensors=tensors))
        before = weights(module)
        prune(module, 0.4, scope="lamp")
        prune(module, 0.8, scope="lamp")
        found.append({n: v != 0 for n, v in weights(module).items()})
    assert all((found[0][n] == found[1][n]).all() for n in LAYERS)
    scores = {}
    for name, value in before.items():
        squares = np.sort(value.ravel().astype(float) ** 2)
        scores[name] = (value.astype(float) ** 2) / np.array(
            [squares[squares >= w].sum() for w in value.ravel().astype(float) ** 2]
        ).reshape(value.shape)
    kept = np.concatenate([scores[n][found[1][n]] for n in LAYERS])
    gone = np.concatenate([scores[n][~found[1][n]] for n in LAYERS])
    assert len(gone) == round(0.8 * (len(kept) + len(gone))) and gone.max() <= kept.min() * (1 + 1e-9)
    # As much as can go: one weight of each layer is left.
    module = to_module(trained())
    count = sum(v.size for v in before.values())
    prune(module, 1 - len(LAYERS) / count, scope="lamp")
    assert [int((v != 0).sum()) for v in weights(module).values()] == [1] * len(LAYERS)


@pytest.mark.parametrize("block", [(1, 4), (4, 1), (3, 5)])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_blocks_are_zero_together(block, scope):
    module = to_module(trained())
    before = weights(module)
    prune(module, {HIDDEN: 0.5, DEPTHWISE: 0.5}, scope=scope, block=block)
    kept, gone = [], []
    for name in (HIDDEN, DEPTHWISE):
        old, new = rows(before[name], name), rows(weights(module)[name], name)
        for i in range(0, len(old), block[0]):
            for j in range(0, old.shape[1], block[1]):
                piece = np.s_[i : i + block[0], j : j + block[1]]
                zero = new[piece] == 0
                assert zero.all() or not zero.any()
                (gone if zero.all() else kept).append((name, np.abs(old[piece]).mean()))
    for names in [(HIDDEN, DEPTHWISE)] if scope == "global" else [(HIDDEN,), (DEPTHWISE,)]:
        there, away = ([v for n, v in which if n in names] for which in (kept, gone))
        assert len(away) == round(0.5 * (len(there) + len(away))) and max(away) <= min(there) * 1.00001


def test_n_of_every_m_stay():
    module = to_module(trained())
    before = weights(module)
    found = prune_n_of_m(module, 2, 4, ["*"])
    assert found[HIDDEN] == found[LOGITS] == 0.5
    for name, value in weights(module).items():
        old, new = rows(before[name], name), rows(value, name)
        for row, was in zip(new, old, strict=True):
            for j in range(0, len(row), 4):
                piece, kept = np.abs(was[j : j + 4]), row[j : j + 4] != 0
                assert kept.sum() == min(2, len(piece))
                assert piece[kept].min() >= piece[~kept].max(initial=0)


def test_masks_hold_in_training_and_in_the_graph():
    module = to_module(trained())
    prune(module, 0.7)
    zero = {name: value == 0 for name, value in weights(module).items()}
    before, pruned = weights(module), lost(module)
    fit(module, digits()[0], QUICK, progress=False)
    assert pruned > 0.05 and lost(module) < 0.5 * pruned
    for name, value in weights(module).items():
        assert (value[zero[name]] == 0).all() and not np.signbit(value[zero[name]]).any()
        assert (value != before[name])[~zero[name]].mean() > 0.5
    graph = to_graph(module)
    assert sparsity_of(graph) == {name: z.mean() for name, z in zero.items()}
    # As a module again, and in integers.
    for again in (to_module(graph), quantization_aware(graph, digits()[0][0][:64])):
        keep_zeros(again, [HIDDEN, LOGITS])
        fit(again, digits()[0], Settings(1, 64, 0.01), progress=False)
        assert (weights(again)[HIDDEN] == 0).sum() == zero[HIDDEN].sum()
        assert (weights(again)[CONV] == 0).sum() < zero[CONV].sum()
        found = sparsity_of(to_graph(again))
        assert found[HIDDEN] >= zero[HIDDEN].mean() and found[LOGITS] >= zero[LOGITS].mean()


def test_pruning_again_takes_more_and_gives_nothing_back():
    module = to_module(trained())
    prune(module, 0.5)
    first = {name: value == 0 for name, value in weights(module).items()}
    fit(module, digits()[0], Settings(1, 64, 0.01), progress=False)
    assert prune(module, {HIDDEN: 0.75})[HIDDEN] == 0.75
    assert (weights(module)[HIDDEN] == 0)[first[HIDDEN]].all()
    prune(module, 0.1)
    assert prune(module, 0.1)[CONV] == first[CONV].mean()
    assert len(weights_of(module)[0].steps()) == 1


def test_iteratively_each_round_removes_as_large_a_part():
    module, seen = to_module(trained()), []

    def train(number):
        seen.append((number, float((weights(module)[HIDDEN] != 0).mean())))
        fit(module, digits()[0], Settings(1, 64, 0.003), progress=False)

    found = prune_iteratively(module, {HIDDEN: 0.875}, 3, train)
    assert seen == [(1, 0.5), (2, 0.25), (3, 0.125)] and found == {HIDDEN: 0.875}
    same = to_module(trained())
    prune_iteratively(same, 0.875, 2, lambda _: None)
    assert sparsity_of(to_graph(same))[HIDDEN] == 0.875


def test_interrupted_between_rounds_it_goes_on_to_the_same_bytes(tmp_path):
    def run(folder, stop):
        module = to_module(trained())

        def train(number):
            if number > stop:
                raise KeyboardInterrupt
            settings = Settings(1, 64, 0.003, seed=number)
            fit(module, digits()[0], settings, checkpoint=folder / f"{number}.pt", progress=False)

        prune_iteratively(module, 0.9, 3, train)
        return to_graph(module)

    whole = run(tmp_path / "a", 3) if (tmp_path / "a").mkdir() is None else None
    (tmp_path / "b").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", 2)
    assert same_graph(run(tmp_path / "b", 3), whole)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: prune(m, 1.0), r"prune, sparsity of 'conv2d': is 1\.0\. Allowed: at least 0 and below 1\."),
        (lambda m: prune(m, -0.1), "is -0.1"),
        (lambda m: prune(m, float("nan")), "is nan"),
        (lambda m: prune(m, {"*": 0.5, "lineer": 0.5}), r"no layer is called 'lineer'\. Allowed: linear"),
        (lambda m: prune(m, {CONV: 0.995}), r"layer 'conv2d': none of its 72 weights would be left"),
        (lambda m: prune(m, 0.999, scope="global"), "weights would be left"),
        (lambda m: prune(m, {CONV: 0.5, HIDDEN: 0.6}, scope="global"), "one for all of them"),
        (lambda m: prune(m, 0.5, scope="model"), "Allowed: layer, global, lamp"),
        (lambda m: prune(m, 0.5, block=(0, 4)), r"block: is \(0, 4\)"),
        (lambda m: prune_n_of_m(m, 4, 4), r"n is 4 and m 4\. Allowed: 1 <= n < m"),
        (lambda m: prune_n_of_m(m, 2, 4, ["relu_1_flat"]), "no layer is called 'relu_1_flat'"),
        (lambda m: keep_zeros(m, ["nothing"]), "keep_zeros, layers: no layer is called"),
        (lambda m: prune_iteratively(m, 0.5, 0, print), r"rounds: is 0\. Allowed: 1 or more"),
        (lambda m: prune_iteratively(m, 1.5, 2, print), "is 1.5"),
    ],
)
def test_what_is_refused_changes_nothing(call, said):
    refused_whole(call, said)


def test_a_shared_layer_is_not_pruned():
    module = to_module(trained())
    share(module, {CONV: 4})
    for call in (lambda: prune(module, 0.5), lambda: prune_n_of_m(module, 1, 2), lambda: keep_zeros(module)):
        with pytest.raises(DataError, match=r"'conv2d': shares its weights already\. Prune before sharing"):
            call()
    assert prune(module, {HIDDEN: 0.5})[HIDDEN] == 0.5


def test_a_layer_of_zeros_is_refused():
    module = to_module(trained())
    with torch.no_grad():
        weights_of(module, [CONV])[0].original().zero_()
    with pytest.raises(DataError, match="'conv2d': none of its 72 weights"):
        keep_zeros(module)


def test_the_same_twice_and_copies_are_independent():
    graphs = []
    for _ in range(2):
        module = to_module(trained())
        prune(module, 0.8)
        other = copy.deepcopy(module)
        fit(module, digits()[0], Settings(1, 64, 0.003), progress=False)
        graphs.append(to_graph(module))
        assert not same_graph(to_graph(other), graphs[-1])
    assert same_graph(*graphs) and pruning.SINGLE == (1, 1)
