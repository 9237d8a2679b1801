"""Learned rounding: its algebra is that of the layers, its descent ends where no single weight can do better."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_zoo import IMAGE, Residual

from intaglio import interpret
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.graph import INT_RANGE, Quant
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.transpose_conv import TransposeConv
from intaglio.ops.window import patches, rows_of
from intaglio.quantize import learn_rounding
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.correct_bias import without_shift
from intaglio.quantize.learn_rounding import descend, with_learned_rounding
from intaglio.quantize.post_training import post_training, quantize
from intaglio.quantize.side_by_side import Layer, adjusted

torch.set_num_threads(1)


def error(moments, cross, weights, now):
    """The quadratic form that `descend` lowers, up to what does not depend on `now`."""
    return np.einsum("gok,gkl,gol->", now, moments, now) - 2 * np.einsum("gok,gkl,gol->", now, cross, weights)


def problem(seed, groups=2, out=3, k=5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(groups, 40, k)) @ rng.normal(size=(groups, k, k))
    seen = x + rng.normal(size=x.shape) * 0.1
    moments = seen.transpose(0, 2, 1) @ seen / 40
    cross = seen.transpose(0, 2, 1) @ x / 40
    steps = np.broadcast_to(rng.uniform(0.1, 1, (groups, out, 1)), (groups, out, k))
    weights = rng.uniform(-3, 3, (groups, out, k)) * steps
    return moments, cross, weights, np.round(weights / steps) * steps, steps


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_no_single_weight_can_do_better(seed):
    moments, cross, weights, nearest, steps = problem(seed)
    found = descend(moments, cross, weights, nearest, steps, (-127, 127))
    assert error(moments, cross, weights, found) <= error(moments, cross, weights, nearest)
    assert np.all(np.abs(found - weights) < steps)
    np.testing.assert_allclose(found / steps, np.round(found / steps), atol=1e-9)
    least = error(moments, cross, weights, found)
    for index in np.ndindex(*weights.shape):
        for towards in (np.floor, np.ceil):
            other = found.copy()
            other[index] = towards(weights[index] / steps[index]) * steps[index]
            assert error(moments, cross, weights, other) >= least - 1e-9


def test_close_to_the_best_of_all_roundings():
    """Exhaustively: the descent takes most of what the best rounding gains over the nearest."""
    gained, possible = 0.0, 0.0
    for seed in range(20):
        moments, cross, weights, nearest, steps = problem(seed, 1, 1, 8)
        choices = itertools.product(*(((np.floor(w / s) * s), (np.ceil(w / s) * s)) for w, s in zip(weights.ravel(), steps.ravel())))  # noqa: B905, E501  # fmt: skip
        best = min(error(moments, cross, weights, np.reshape(c, weights.shape)) for c in choices)
        start = error(moments, cross, weights, nearest)
        gained += start - error(moments, cross, weights, descend(moments, cross, weights, nearest, steps, (-127, 127)))
        possible += start - best
    assert gained > 0.8 * possible > 0


def test_inputs_that_do_not_mix_leave_the_nearest():
    _, _, weights, nearest, steps = problem(1)
    even = np.broadcast_to(np.eye(5), (2, 5, 5))
    np.testing.assert_array_equal(descend(even, even, weights, nearest, steps, (-127, 127)), nearest)


def test_limits_hold():
    moments, cross, weights, _, steps = problem(2)
    clipped = np.clip(np.round(weights / steps), -1, 1) * steps
    found = descend(moments, cross, weights, clipped, steps, (-1, 1))
    assert np.abs(found / steps).max() < 1.01


LAYERS = {
    "conv": (Conv2D((2, 1), (1, 2), (1, 0, 2, 1)), (4, 3, 2, 6), (3, 9, 8, 6), 0),
    "grouped": (Conv2D(), (6, 2, 2, 2), (2, 5, 6, 4), 0),
    "depthwise": (DepthwiseConv2D((1, 2), (1, 1), (1, 1, 0, 1)), (1, 3, 3, 4), (2, 6, 7, 4), 3),
    "depthwise, multiplier": (DepthwiseConv2D(), (1, 2, 3, 6), (2, 5, 5, 3), 3),
    "fully connected": (FullyConnected(), (5, 7), (3, 7), 0),
}


def layer_of(name, seed=0):
    op, shape, x_shape, axis = LAYERS[name]
    rng = torch.Generator().manual_seed(seed)
    weights, x = torch.randn(shape, generator=rng), torch.randn(x_shape, generator=rng)
    bias = torch.zeros(shape[axis])
    quant = Quant((0.5,) * shape[axis], (0,) * shape[axis], axis)
    return Layer(op, axis, weights, torch.round(weights / 0.5) * 0.5, quant, bias, bias, [x], [x + 0.01])


@pytest.mark.parametrize("name", LAYERS)
def test_columns_times_grouped_weights_are_the_sums_of_the_layer(name):
    layer = layer_of(name)
    columns = learn_rounding.columns(layer, layer.floats[0].numpy())
    grouped = learn_rounding.grouped(layer, layer.weights.numpy())
    sums = np.concatenate([(c @ w.T) for c, w in zip(columns, grouped, strict=True)], axis=1)
    want = layer.op.forward(layer.floats[0], layer.weights, layer.bias).reshape(-1, sums.shape[1])
    np.testing.assert_allclose(sums, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer.op.ungrouped(grouped, layer.weights.shape), layer.weights)


@pytest.mark.parametrize("name", LAYERS)
def test_the_result_of_a_layer_gets_closer(name):
    layer = layer_of(name)
    op = layer.op
    rounded = without_shift(with_learned_rounding(layer))
    plain = without_shift(layer)
    want = op.forward(layer.floats[0], layer.weights, layer.bias)
    errors = [
        float(((op.forward(each.rounded[0], each.coarse, each.corrected) - want) ** 2).sum())
        for each in (plain, rounded)
    ]
    assert errors[1] < errors[0]
    assert float((rounded.coarse - layer.weights).abs().max()) < 0.5


def test_of_many_places_some_are_looked_at():
    x = layer_of("conv").floats[0].numpy()
    windows = patches(x, (3, 2), (2, 1), (1, 2), (1, 0, 2, 1), 0.0)
    every = windows.reshape(-1, 6, 6)
    picked = rows_of(windows, 10)
    assert 5 <= len(picked) <= 10 and picked.dtype == np.float64
    np.testing.assert_array_equal(picked, every[:: -(-len(every) // 10)])
    np.testing.assert_array_equal(rows_of(windows, len(every)), every)


def test_layers_that_it_does_not_know_are_left():
    layer = layer_of("conv")
    other = Layer(**{**vars(layer), "op": TransposeConv((2, 2), (0, 0, 0, 0))})
    assert with_learned_rounding(other) is other


def integer_error(q, x, want):
    t, out = q.tensors[q.inputs[0]], q.tensors[q.outputs[0]]
    ints = np.clip(np.round(x / t.scale) + t.zero_point, -128, 127).astype(np.int8)
    got = (interpret.run(q, [ints])[0].astype(float) - out.zero_point) * out.scale
    return float(((got.reshape(want.shape) - want) ** 2).mean())


def coarsely(graph):
    """The weights marked with 15 steps a channel, so that their rounding is what the outputs suffer from."""
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        if node.op.weighted:
            t, axis = tensors[node.inputs[1]], node.op.out_axis
            peaks = np.abs(np.moveaxis(t.data, axis, 0)).reshape(t.shape[axis], -1).max(1)
            scales = tuple((peaks / 7).astype(np.float32).tolist())
            tensors[t.name] = replace(t, quant=Quant(scales, (0,) * len(scales), axis))
    return graph.with_nodes(graph.nodes, tensors)


def smooth(rng, n):
    """Images whose neighbouring pixels are alike, as in pictures; noise leaves nothing to trade between weights."""
    waves = rng.normal(size=(3, IMAGE[1] * IMAGE[2] * IMAGE[0])).reshape(3, IMAGE[1], IMAGE[2], IMAGE[0])
    waves = np.cumsum(np.cumsum(waves, 1), 2) / 5
    return np.tensordot(rng.normal(size=(n, 3)), waves, 1).astype(np.float32)


def test_integers_get_closer_to_the_floats_on_inputs_not_seen():
    torch.manual_seed(0)
    module = Residual().eval()
    module.head = module.head[:-1]  # softmax would hide most of the error
    graph = coarsely(simplify(frontend.load(module, torch.randn(1, *IMAGE))))
    rng = np.random.default_rng(0)
    both = smooth(rng, 192)
    seen, fresh = both[:128], both[128:]
    ranges = calibrate(graph, seen)
    first, want = quantize(graph, ranges), run_float(graph, [fresh])[0]
    errors = []
    for adjust in ([without_shift], [with_learned_rounding, without_shift]):
        errors.append(integer_error(quantize(adjusted(graph, first, [seen], adjust), ranges), fresh, want))
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_post_training_takes_it_with_few_bits(bits):
    torch.manual_seed(0)
    graph = frontend.load(Residual().eval(), torch.randn(1, *IMAGE))
    x = np.random.default_rng(0).normal(size=(32, IMAGE[1], IMAGE[2], IMAGE[0])).astype(np.float32)
    nearest, learned = (post_training(graph, x, rounding=r, weight_bits=bits) for r in ("nearest", "learned"))
    moved = 0
    for n in learned.nodes:
        for a, b in zip(learned.ins(n), nearest.ins({m.name: m for m in nearest.nodes}[n.name]), strict=True):
            if a is not None and b is not None and a.dtype == "int8" and a.is_const:
                assert a.quant == b.quant
                moved += int((a.data != b.data).sum())
    assert moved > 0


@pytest.mark.parametrize("kept", [[], ["first", "last"]], ids=["whole", "partial"])
@pytest.mark.parametrize("bits", [8, 16])
def test_post_training_takes_it(bits, kept):
    """Scales and floats that stay are those of the nearest rounding; weights move, by one step at most."""
    torch.manual_seed(0)
    graph = frontend.load(Residual().eval(), torch.randn(1, *IMAGE))
    x = np.random.default_rng(0).normal(size=(32, IMAGE[1], IMAGE[2], IMAGE[0])).astype(np.float32)
    layers = [n.name for n in simplify(graph).nodes if n.op.weighted]
    kept = [layers[{"first": 0, "last": -1}[k]] for k in kept]
    nearest, learned = (
        post_training(graph, x, rounding=r, activation_bits=bits, keep_float=kept) for r in ("nearest", "learned")
    )
    moved = {}
    mates = {n.name: n for n in nearest.nodes}
    for n in learned.nodes:
        if not n.op.weighted:
            continue
        a, b = learned.tensors[n.inputs[1]], nearest.tensors[mates[n.name].inputs[1]]
        assert a.quant == b.quant and a.dtype == b.dtype == ("float32" if n.name in kept else "int8")
        assert np.abs(a.data.astype(float) - b.data).max() <= 1
        moved[n.name] = int((a.data != b.data).sum())
    assert {name for name, count in moved.items() if not count} == set(kept)
    rows = [np.clip(np.round(x[:4] / t.scale) + t.zero_point, *INT_RANGE[t.dtype]).astype(t.dtype)
            if t.dtype != "float32" else x[:4] for t in [learned.tensors[learned.inputs[0]]]]  # fmt: skip
    assert np.isfinite(interpret.run(learned, rows)[0].astype(float)).all()
