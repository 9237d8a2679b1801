"""Weights rounded anew for an entropy coder: few bits, outputs that stay, no labels."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from digits_model import CONV, DEPTHWISE, HIDDEN, LOGITS, digits, trained
from floats import same_graph
from hypothesis import given, settings
from hypothesis import strategies as st

import intaglio
from intaglio import to_int8
from intaglio.codecs import huffman
from intaglio.compress import round_weights as rounding
from intaglio.compress.round_weights import _bits, _error, descend, round_weights
from intaglio.errors import DataError
from intaglio.graph import verify
from intaglio.quantize.simulate import real_values

torch.set_num_threads(1)


@cache
def integers():
    return to_int8(trained(), digits()[0][0][:100])


@cache
def seen():
    t = integers().tensors[integers().inputs[0]]
    every = [digits()[0][0][:120], digits()[1][0]]
    return [np.clip(np.round(x / t.scale) + t.zero_point, -128, 127).astype(np.int8) for x in every]


def weights(graph):
    return {n.name: graph.tensors[n.inputs[1]] for n in graph.nodes if len(n.inputs) == 3}


def outputs(graph):
    """Of all test images, by C on this computer: the NumPy reference would take a minute for them."""
    [found] = intaglio.run(graph, "host", seen()[1]).values()
    return found.reshape(len(found), -1)


def classes(graph):
    return outputs(graph).argmax(1)


def coded(graph):
    return {k: huffman.encode(t.data.reshape(t.shape[0], -1)).nbytes for k, t in weights(graph).items()}


# ---- one layer ----------------------------------------------------------------------------------------------------


def problem(seed, groups=2, out=3, k=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(groups, out, 50, k)) @ rng.normal(size=(groups, out, k, k))
    moments = x.swapaxes(2, 3) @ x / 50
    weights = rng.normal(size=(groups, out, k)) * 3
    steps = np.broadcast_to(rng.uniform(0.5, 2, (groups, out, 1)), weights.shape)
    return x, moments, weights, steps


@given(st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_no_single_step_is_better_and_the_error_is_what_it_says(seed):
    x, moments, weights, steps = problem(seed)
    found = descend(moments, moments, weights, steps, (-5, 6), 0.0)
    assert found.min() >= -5 and found.max() <= 6

    def error(q):
        return float(((((q * steps) - weights)[:, :, None] * x).sum(3) ** 2).sum() / 50)

    rest = float(((weights[:, :, None] * x).sum(3) ** 2).sum() / 50)
    assert error(found) == pytest.approx(_error(moments, moments, weights, found * steps) + rest, rel=1e-6)
    assert error(found) <= error(np.clip(np.round(weights / steps), -5, 6)) + 1e-9
    better = 0
    for at in np.ndindex(found.shape):
        for by in (-1, 1):
            other = found.copy()
            other[at] = np.clip(other[at] + by, -5, 6)
            better += error(other) < error(found) * (1 - 1e-6)
    assert better <= 1  # the sweeps may end before the last one


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_price_makes_bits_fewer(seed):
    _, moments, weights, steps = problem(seed, out=30)
    bits = [_bits(descend(moments, moments, weights, steps, (-9, 9), price)).sum() for price in (0, 0.3, 3, 1e6)]
    assert bits[0] >= bits[1] - 1 and bits[0] > bits[2] > bits[3]


def test_bits_are_those_of_the_entropy():
    values = np.repeat([3, -1, 0], [2, 2, 4])
    assert _bits(values).tolist() == [2, 2, 2, 2, 1, 1, 1, 1]


# ---- a graph ------------------------------------------------------------------------------------------------------


def test_bits_fall_with_the_price_and_outputs_stay():
    graph = integers()
    before, size = classes(graph), sum(coded(graph).values())
    sizes, same = [], []
    for price in (1e-6, 3e-5):
        found = verify(round_weights(graph, [seen()[0]], price), "quantized")
        sizes.append(sum(coded(found).values()))
        same.append(float((classes(found) == before).mean()))
    assert size > 1.5 * sizes[0] and sizes[0] > 1.3 * sizes[1]
    assert same[0] > 0.95 and same[1] > 0.85


def test_it_beats_rounding_that_looks_at_weights_alone():
    graph = integers()
    found = round_weights(graph, [seen()[0]], 3e-5, [HIDDEN])
    w = weights(graph)[HIDDEN].data.astype(int)
    target, step = coded(found)[HIDDEN], 1
    while huffman.encode((np.round(w / step) * step).astype(np.int8)).nbytes > target:
        step += 1 + step // 16
    coarse = (np.round(w / step) * step).clip(-127, 127).astype(np.int8)
    name = weights(graph)[HIDDEN].name
    other = replace(graph, tensors={**graph.tensors, name: replace(graph.tensors[name], data=coarse)})
    values = [outputs(g).astype(float) for g in (graph, found, other)]
    errors = [((v - values[0]) ** 2).mean() for v in values[1:]]
    assert errors[0] < 0.7 * errors[1]


def test_scales_bits_and_names():
    graph = integers()
    found = round_weights(graph, [seen()[0]], 1e-5, ["conv*", HIDDEN])
    assert [n.inputs for n in found.nodes] == [n.inputs for n in graph.nodes]
    old, new = weights(graph), weights(found)
    assert same_graph(graph, integers()) and new[LOGITS] is old[LOGITS]
    assert new[HIDDEN].quant.bits == 8 and new[DEPTHWISE].quant.bits == 4 and new[CONV].quant.bits == 4
    for name in (CONV, DEPTHWISE):
        assert np.abs(new[name].data.astype(int)).max() <= 8
        # Scales go with the integers: the weights stand for about the same.
        real = real_values(old[name])
        assert np.abs(real_values(new[name]) - real).max() < 0.35 * np.abs(real).max()
    for n in found.nodes:
        if len(n.inputs) == 3:
            x, w, b = (found.tensors[i] for i in n.inputs)
            assert np.allclose(b.quant.scale, np.float32(x.scale) * np.float32(w.quant.scale), rtol=1e-6)
    changed = {t.name for t in old.values()}
    assert all(found.tensors[n] is t for n, t in graph.tensors.items() if n not in changed and t.dtype != "int32")


def test_many_positions_are_taken_in_portions(monkeypatch):
    whole = round_weights(integers(), [seen()[0][:30]], 1e-5)
    monkeypatch.setattr(rounding, "MOST_ROWS", 100)
    parts = round_weights(integers(), [seen()[0][:30]], 1e-5)
    for a, b in zip(weights(whole).values(), weights(parts).values(), strict=True):
        assert np.mean(a.data != b.data) < 0.02 and np.allclose(a.quant.scale, b.quant.scale, rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda g, x: round_weights(g, [x], 0), r"price: is 0\. Allowed: above 0"),
        (lambda g, x: round_weights(g, [x], float("nan")), "price: is nan"),
        (lambda g, x: round_weights(g, [x], 1e-6, ["linaer"]), r"no layer is called 'linaer'\. Allowed: linear"),
        (lambda g, x: round_weights(g, [x, x], 1e-6), r"inputs: are 2 arrays\. Allowed: 1"),
        (lambda g, x: round_weights(g, [x.astype(np.float32)], 1e-6), r"is float32 .*\. Allowed: int8 \[n, 8, 8, 1\]"),
        (lambda g, x: round_weights(g, [x[:, :4]], 1e-6), r"is int8 \[120, 4, 8, 1\]"),
        (lambda g, x: round_weights(g, [x[:0]], 1e-6), r"is int8 \[0, "),
        (lambda g, x: round_weights(trained(), [x], 1e-6), "has no layer with int8 weights"),
    ],
)
def test_what_is_refused(call, said):
    with pytest.raises(DataError, match=said):
        call(integers(), seen()[0])
