"""Mixed precision: the frontier is that of all combinations, budgets are kept, and losses are those measured."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_zoo import IMAGE, Residual

from intaglio.errors import DataError
from intaglio.frontends import torch as frontend
from intaglio.quantize import mixed
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.mixed import Choice, Sensitivity, frontier, sensitivities, smallest, within_bytes
from intaglio.quantize.post_training import quantize

torch.set_num_threads(1)


def problem(seed, layers):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 50, layers) * 8
    return [
        Sensitivity(f"layer {i}", bits, int(sizes[i]) * bits // 8, float(rng.uniform(0, 4.0**-bits)))
        for i in range(layers)
        for bits in (8, 4, 2)
    ]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_nothing_is_both_smaller_and_better_than_a_choice(seed, layers):
    found = problem(seed, layers)
    choices = frontier(found)
    options = [[s for s in found if s.layer == f"layer {i}"] for i in range(layers)]
    every = [(sum(s.weight_bytes for s in c), sum(s.loss for s in c)) for c in itertools.product(*options)]
    for size, loss in every:
        best = within_bytes(choices, size)
        assert best.weight_bytes <= size and best.loss <= loss + 1e-12
    for choice in choices:
        of = {(s.layer, s.bits): s for s in found}
        chosen = [of[item] for item in choice.bits.items()]
        assert len(chosen) == layers
        assert choice.weight_bytes == sum(s.weight_bytes for s in chosen)
        assert choice.loss == pytest.approx(sum(s.loss for s in chosen))
    assert [c.weight_bytes for c in choices] == sorted({c.weight_bytes for c in choices})
    assert all(a.loss > b.loss for a, b in itertools.pairwise(choices))


def test_many_layers_stay_manageable_and_keep_both_ends(monkeypatch):
    found = problem(3, 40)
    whole = frontier(found)
    monkeypatch.setattr(mixed, "MOST_POINTS", 64)
    few = frontier(found)
    assert 10 < len(few) <= 3 * 64 < len(whole)
    assert few[0].bits == whole[0].bits and few[-1].loss == pytest.approx(whole[-1].loss)
    middle = (few[0].weight_bytes + few[-1].weight_bytes) // 2
    assert within_bytes(few, middle).loss < 2 * within_bytes(whole, middle).loss


def test_a_budget_below_everything_is_refused():
    choices = frontier(problem(1, 3))
    least = choices[0].weight_bytes
    assert within_bytes(choices, least) == choices[0]
    with pytest.raises(DataError, match=rf"weight bytes: {least - 1} are too few\. Allowed: {least} or more"):
        within_bytes(choices, least - 1)


def test_the_smallest_that_is_good_enough():
    choices = [Choice({}, i, 1.0 - i / 100) for i in range(100)]
    asked = []

    def merit(choice):
        asked.append(choice)
        return float(choice.weight_bytes // 10)

    for least in range(10):
        asked.clear()
        found, value = smallest(choices, merit, float(least))
        assert (found.weight_bytes, value) == (10 * least, least)
        assert len(asked) <= 9
    with pytest.raises(DataError, match=r"with the most bits it is 9\. Allowed: 9\.5 or more"):
        smallest(choices, merit, 9.5)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    module = Residual().eval()
    module.head = module.head[:-1]
    graph = frontend.load(module, torch.randn(1, *IMAGE))
    x = np.random.default_rng(0).normal(size=(64, IMAGE[1], IMAGE[2], IMAGE[0])).astype(np.float32)
    return graph, x, calibrate(graph, x)


def test_fewer_bits_lose_more_and_take_less(model):
    graph, x, ranges = model
    found = sensitivities(graph, ranges, [x])
    layers = {s.layer for s in found}
    assert len(layers) == 5 and len(found) == 15
    for layer in layers:
        eight, four, two = (next(s for s in found if (s.layer, s.bits) == (layer, b)) for b in (8, 4, 2))
        assert 0 < eight.loss < four.loss < two.loss
        assert eight.weight_bytes > four.weight_bytes >= eight.weight_bytes / 2
        assert four.weight_bytes > two.weight_bytes >= eight.weight_bytes / 4


def test_a_choice_quantizes_to_the_bytes_it_promises(model):
    graph, x, ranges = model
    choices = frontier(sensitivities(graph, ranges, [x]))
    choice = within_bytes(choices, (choices[0].weight_bytes + choices[-1].weight_bytes) // 2)
    assert len(set(choice.bits.values())) > 1
    found = quantize(graph, ranges, weight_bits=choice.bits)
    weights = [t for n in found.nodes if n.name in choice.bits for t in [found.tensors[n.inputs[1]]]]
    assert sum(t.stored_bytes for t in weights) == choice.weight_bytes
    assert [t.quant.bits for t in weights] == list(choice.bits.values())
