"""Calibration methods: what each makes of a tensor, in bounded memory."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_zoo import channels_last, conv, model, sample, seq

from intaglio import interpret
from intaglio.errors import DataError
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.quantize import calibrate as calibration
from intaglio.quantize import histogram, methods
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.correct_bias import correct_bias
from intaglio.quantize.methods import METHODS, entropy, mse
from intaglio.quantize.post_training import post_training, quantize

torch.set_num_threads(1)


def of(values):
    values = np.asarray(values)
    return histogram.counted(histogram.empty(float(values.min()), float(values.max())), values)


def squared_error(values, low, high):
    step = (high - low) / 255
    zero = round(-low / step)
    return float(((np.clip(np.round(values / step) + zero, 0, 255) - zero) * step - values).__pow__(2).sum())


def test_every_method_is_a_file():
    assert set(METHODS) == {"minmax", "percentile", "mse", "entropy"}
    for method in METHODS[1:]:
        low, high = methods.load(method).choose(of(np.linspace(-1, 3, 4096)), 99.99)
        assert -1 <= low < 0 < high <= 3


def test_histograms_add_up():
    x = np.random.default_rng(0).normal(size=5000)
    whole = of(x)
    parts = histogram.empty(float(x.min()), float(x.max()))
    for part in np.array_split(x, 7):
        parts = histogram.counted(parts, part)
    assert np.array_equal(parts.counts, whole.counts) and whole.counts.sum() == 5000
    # What stands for a bin lies in it; zero stands for its own.
    assert (whole.centres >= whole.edges[:-1]).all() and (whole.centres <= whole.edges[1:]).all()
    assert (whole.centres == 0).sum() == 1


def test_mse_clips_outliers_as_brute_force_would():
    rng = np.random.default_rng(1)
    x = np.abs(rng.normal(size=1_000_000))
    x[0] = 40.0
    low, high = mse.choose(of(x), 0)
    # a h^2 of rounding and (40 - h)^2 of clipping, with a = 10^6 / (12 * 255^2): h = 40 / (1 + a).
    assert low == 0 and high == pytest.approx(40 / (1 + 1e6 / (12 * 255**2)), rel=0.1)
    best = min(squared_error(x, 0, h) for h in np.linspace(10, 40, 31))
    assert squared_error(x, low, high) <= 1.05 * best < 0.5 * squared_error(x, 0, 40)


def test_mse_keeps_what_is_uniform():
    low, high = mse.choose(of(np.linspace(-1, 2, 100_000)), 0)
    assert low == pytest.approx(-1, abs=0.03) and high == pytest.approx(2, abs=0.03)


def test_mse_clips_the_side_that_has_outliers():
    x = np.random.default_rng(2).uniform(-1, 1, 1_000_000)
    x[0] = -30.0
    low, high = mse.choose(of(x), 0)
    assert -15 < low < -10 and high == pytest.approx(1, abs=0.05)


def test_divergence_by_hand():
    # Two levels over four bins: (4, 0) -> the first bin alone is occupied, (1, 1) -> each one. Nothing is lost.
    assert entropy.divergence(np.array([4, 0, 1, 1]), 4, 2) == pytest.approx(0)
    # (3, 1) becomes (2, 2).
    want = 3 / 4 * np.log(3 / 2) + 1 / 4 * np.log(1 / 2)
    assert entropy.divergence(np.array([3, 1, 0, 0]), 4, 2) == pytest.approx(want)
    # One value of five clipped into the second bin: true (1/2, 1/2) of kept (2, 1), two levels for two bins.
    want = 0.5 * np.log(0.5 / (2 / 3)) + 0.5 * np.log(0.5 / (1 / 3))
    assert entropy.divergence(np.array([2, 1, 1]), 2, 2) == pytest.approx(want)


def test_entropy_clips_a_long_tail_and_keeps_a_short_one():
    rng = np.random.default_rng(3)
    x = rng.laplace(size=500_000)
    x[0] = 80.0
    low, high = entropy.choose(of(x), 0)
    assert 4 < high < 60 and low >= -high
    flat = np.linspace(0, 1, 200_000)
    low, high = entropy.choose(of(flat), 0)
    assert low == 0 and high > 0.95


@pytest.mark.parametrize("values", [[0.0, 1.0], [-1.0, 0.0], [-5.0, -4.0], [3.0, 3.5], [-1e-30, 2e-30], [-1e30, 1e30]])
@pytest.mark.parametrize("method", METHODS[1:])
def test_few_values(method, values):
    low, high = methods.load(method).choose(of(values), 99.99)
    assert np.isfinite([low, high]).all() and low <= high
    assert min(*values, 0.0) <= low and high <= max(*values, 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_ranges_of_a_graph(method):
    module, shape = model("residual")
    graph = frontend.load(module, torch.zeros(1, *shape))
    x = channels_last(sample("residual")).numpy()
    wide, found = calibrate(graph, x), calibrate(graph, x, method)
    assert list(found) == list(wide)
    for name, (low, high) in found.items():
        assert min(wide[name][0], 0) <= low and high <= max(wide[name][1], 0)
    q = post_training(graph, x, method)
    [want] = run_float(simplify(graph), [x])
    t, out = q.tensors[q.inputs[0]], q.tensors[q.outputs[0]]
    ints = np.clip(np.round(x / t.scale) + t.zero_point, -128, 127).astype(np.int8)
    got = (interpret.run(q, [ints])[0].astype(float) - out.zero_point) * out.scale
    assert np.abs(got.reshape(want.shape) - want).mean() < 0.02


def test_memory_does_not_grow_with_samples(monkeypatch):
    """At no time is more than a portion of any tensor alive: what a method sees are counts."""
    graph = frontend.load(conv(1, 2, 1), torch.zeros(1, 1, 4, 4))
    x = np.random.default_rng(1).normal(size=(300, 4, 4, 1)).astype(np.float32)
    seen = []
    monkeypatch.setattr(calibration, "counted", lambda h, v: seen.append(v.shape[0]) or histogram.counted(h, v))
    calibrate(graph, x, "mse")
    assert max(seen) == calibration.BATCH and sum(seen) == 300 * 2


def test_unknown_method():
    graph = frontend.load(conv(1, 2, 1), torch.zeros(1, 1, 4, 4))
    with pytest.raises(DataError, match="minmax, percentile, mse, entropy"):
        calibrate(graph, np.zeros((2, 4, 4, 1), np.float32), "kl")


# ---- bias correction --------------------------------------------------------------------------------------------


def shifted():
    """Layers whose weights all round the same way: every output channel is off by a constant."""
    torch.manual_seed(0)
    module = seq(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 5, 1, bias=False)).eval()
    with torch.no_grad():
        for layer in (module[0], module[2]):
            w = layer.weight
            w.copy_((w.abs() / w.abs().max() * 20).round() + 0.45)
            w[:, 0, 0, 0] = 127.0
            w /= 500
    graph = frontend.load(module, torch.zeros(1, 4, 8, 8))
    return graph, np.random.default_rng(0).uniform(0, 1, (40, 8, 8, 4)).astype(np.float32)


def channel_means(graph, x):
    t, out = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    ints = np.clip(np.round(x / t.scale) + t.zero_point, -128, 127).astype(np.int8)
    got = (interpret.run(graph, [ints])[0].astype(float) - out.zero_point) * out.scale
    return got.reshape(-1, out.shape[-1]).mean(0)


def test_bias_correction_restores_the_means():
    graph, x = shifted()
    [want] = run_float(simplify(graph), [x])
    want = want.reshape(-1, want.shape[-1]).mean(0)
    plain = np.abs(channel_means(post_training(graph, x, "minmax", bias_corrected=False), x) - want)
    better = np.abs(channel_means(post_training(graph, x, "minmax"), x) - want)
    step = post_training(graph, x, "minmax").tensors[simplify(graph).outputs[0]].scale
    assert plain.max() > 1.0 * step, "the case is meant to be a bad one"
    assert better.max() < 0.25 * step and better.max() < plain.max() / 5


def test_bias_correction_leaves_the_weights_and_the_given_graph_alone():
    graph, x = shifted()
    graph = simplify(graph)
    before = {n: np.array(t.data) for n, t in graph.tensors.items() if t.data is not None}
    ranges = calibrate(graph, x)
    quantized = quantize(graph, ranges)
    corrected = correct_bias(graph, quantized, [x])
    assert all(np.array_equal(before[n], graph.tensors[n].data) for n in before)
    for old, new in zip(graph.nodes, corrected.nodes, strict=True):
        assert old.op == new.op and old.inputs[:2] == new.inputs[:2]
        # The second layer had no bias: it has one now.
        assert len(new.inputs) == 3
        assert corrected.tensors[new.inputs[2]].shape == graph.tensors[old.outputs[0]].shape[-1:]
    again = quantize(corrected, ranges)
    for a, b in zip(quantized.nodes, again.nodes, strict=True):
        assert np.array_equal(quantized.tensors[a.inputs[1]].data, again.tensors[b.inputs[1]].data)


@pytest.mark.parametrize("name", ["residual", "curves", "grouped", "conv_transpose", "cat_channels", "linear_sequence"])
def test_bias_correction_of_the_zoo(name):
    module, shape = model(name)
    graph = simplify(frontend.load(module, torch.zeros(1, *shape)))
    x = channels_last(sample(name)).numpy()
    ranges = calibrate(graph, x)
    corrected = correct_bias(graph, quantize(graph, ranges), [x])
    quantize(corrected, ranges)
    for old, new in zip(run_float(graph, [x]), run_float(corrected, [x]), strict=True):
        assert np.abs(old - new).mean() < 0.03 * max(np.ptp(old), 1e-3)
