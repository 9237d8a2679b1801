"""Post-training compression of integer weights: rounded anew so that an entropy coder needs few bits for them, at the
least error of the outputs (entropy-constrained quantization: Chou, Lookabaugh and Gray, IEEE Trans. ASSP 37, 1989).

No training and no labels: some inputs, and the quantized model as it is. The error of a layer's sums is a quadratic
form of its weights, with the second moments of its inputs. One weight after the other takes the step that is best with
all others as they are, its bits counted at their price (as in learn_rounding.py, where they have none). Each
position and channel counts by the slope of the outputs along it, so that bits cost the same harm everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..errors import DataError
from ..floats.run import keeps_batch
from ..graph import DTYPES, INT_RANGE, Array, Graph, Node, Quant, Tensor, constant, packed_range
from ..quantize.correct_bias import without_shift
from ..quantize.learn_rounding import MOST_ROWS, MOST_TAPS, columns, grouped
from ..quantize.partial import choose
from ..quantize.side_by_side import Layer, channels_of
from ..quantize.simulate import real_values
from ..train.integer import run_node

STEPS = np.geomspace(1 / 127, 1 / 2, 14)
"""The scales that are tried for a layer, as parts of its largest weight."""
CLIPPED = np.linspace(0.6, 1.0, 5)
"""The scales that are tried for weights of 4 bits, as parts of the one that clips nothing."""
SWEEPS = 6
"""Over all weights of a layer, the bits of each value counted anew before each."""
NEAR = (-2, -1, 0, 1, 2)
"""Steps from the best one that a weight can move to where they take fewer bits; and to 0."""
RARE = 8.0
"""Extra bits of a value that no other weight has: it takes an entry of a table as well."""
FEW = 2048
"""Fewer weights than this are packed rather than coded: tables would outweigh what codes save."""
DAMPING = 0.01
"""Of the mean second moment, added to each: a few inputs do not tell everything."""
TOSSES = 4
"""Random signs of the outputs that slopes are taken with: their mean square is that of all outputs (Hutchinson)."""


def round_weights(graph: Graph, inputs: Sequence[Array], price: float, layers: Collection[str] = ("*",)) -> Graph:
    """Round the int8 weights of convolutions and fully connected layers anew; biases take up what shifts.

    A layer gets one scale for all its channels and few distinct integers, which Huffman codes (`--weights size`) make
    small. Depthwise layers, which have no kernel for codes, get packed weights of 4 bits where these are worth it.

    Args:
        graph: quantized, with int8 activations; all its scales but those of weights and biases stay.
        inputs: one array a graph input, [n, *shape without the batch], in its dtype; a hundred say enough.
        price: the squared error of the outputs that saving a bit may cost, as a part of their squares (before a
            softmax). 1e-8 hardly shows, 1e-5 ruins most models.
        layers: names of layers, or patterns with * and ?; others stay as they are.

    Raises: DataError for a price that is not above 0, inputs that do not fit, a layer that does not exist, and a graph
        without int8 weights, or that moves the batch out of the first dimension.
    """
    if not 0 < price < np.inf:
        raise DataError("round_weights, price", f"is {price}", "above 0")
    some = [n for n in graph.nodes if _fits(graph, n)]
    if not some or not keeps_batch(graph):
        found = "moves the batch out of the first dimension" if some else "has no layer with int8 weights"
        raise DataError(f"graph {graph.name}", found, "a quantized graph", "" if some else "Quantize it first")
    wanted = choose(replace(graph, nodes=tuple(some)), layers, "round_weights, layers")
    start = _entered(graph, inputs)
    before, slopes = _slopes(graph, start, {n.outputs[0] for n in some})
    tensors = dict(graph.tensors)
    for node in [n for n in some if n.outputs[0] in wanted]:
        seen = _run(replace(graph, tensors=tensors), start, node.inputs[0])[node.inputs[0]]
        layer = _layer(graph, node, before[node.inputs[0]], seen)
        tensors |= _stored(graph, node, _chosen(layer, slopes[node.outputs[0]], price))
    return replace(graph, tensors=tensors)


def _fits(graph: Graph, node: Node) -> bool:
    layer = node.op.layer
    if layer is None or not layer.has_windows:
        return False
    x, w, y = (graph.tensors[n] for n in (*node.inputs[:2], node.outputs[0]))
    alone = len(graph.consumers(w.name)) == 1 and (len(node.inputs) < 3 or len(graph.consumers(node.inputs[2])) == 1)
    small = w.size // w.shape[node.op.out_axis] <= MOST_TAPS and y.size // y.shape[-1] <= MOST_ROWS
    return w.is_const and {x.dtype, w.dtype, y.dtype} == {"int8"} and alone and small


# ---- one layer ----------------------------------------------------------------------------------------------------


def _layer(graph: Graph, node: Node, real: Any, seen: Any) -> Layer:
    """A layer whose float form is what its integers stand for. `real`, `seen`: its inputs, integers less zero."""
    x, w = graph.tensors[node.inputs[0]], graph.tensors[node.inputs[1]]
    op = node.op.layer
    assert op is not None and w.quant is not None
    axis = node.op.out_axis
    weights = torch.tensor(real_values(w))
    biased = len(node.inputs) > 2 and node.inputs[2]
    bias = torch.tensor(real_values(graph.tensors[node.inputs[2]])) if biased else torch.zeros(w.shape[axis])
    return Layer(op, axis, weights, weights, w.quant, bias, bias, _real(real, x), _real(seen, x))


def _chosen(layer: Layer, slopes: Array, price: float) -> Layer:
    """The layer with the weights whose harm, and bits at `price` each, are least."""
    moments, cross, harm = _moments(layer, slopes)
    weights = grouped(layer, layer.weights.numpy().astype(np.float64))
    packed = layer.op.per_channel or layer.weights.numel() < FEW
    best: tuple[float, Array, Quant] | None = None
    for quant in _packed_grids(layer) if packed else _grids(layer, harm):
        scale = channels_of(np.asarray(quant.scale), layer.axis, layer.weights.ndim)
        steps = grouped(layer, np.broadcast_to(scale, tuple(layer.weights.shape)).astype(np.float64))
        limits = (-127, 127) if quant.bits == 8 else packed_range(quant.bits)
        found = descend(moments, cross, weights, steps, limits, 0.0 if packed else price)
        bits = quant.bits * found.size if packed else _bits(found).sum()
        cost = _error(moments, cross, weights, found * steps) + price * bits
        if best is None or cost < best[0]:
            best = cost, found * steps, quant
    assert best is not None
    coarse = layer.op.ungrouped(best[1], tuple(layer.weights.shape))
    return without_shift(replace(layer, coarse=layer.weights.new_tensor(coarse), quant=best[2]))


def _grids(layer: Layer, harm: Array) -> Iterator[Quant]:
    """The grids that are tried: a channel's scale is the smaller, the more harm its errors do."""
    rows = layer.weights.movedim(layer.axis, 0).flatten(1).double()
    peaks = np.maximum(rows.abs().amax(1).numpy(), 1e-12)
    even = 1 / np.sqrt(np.maximum(harm, 1e-6 * harm.max() + 1e-30))
    even *= (peaks / even).max()
    for part in STEPS:
        scale = np.clip(even * part, peaks / 127, peaks).astype(np.float32)
        yield Quant(tuple(map(float, scale)), (0,) * len(scale), layer.axis)


def _packed_grids(layer: Layer) -> Iterator[Quant]:
    """The grid there is, and those of 4 bits."""
    yield layer.quant
    high = packed_range(4)[1]
    for part in CLIPPED:
        factor = part * (127 if layer.quant.bits == 8 else high) / high
        yield replace(layer.quant, scale=tuple(float(np.float32(s * factor)) for s in layer.quant.scale), bits=4)


def _moments(layer: Layer, slopes: Array) -> tuple[Array, Array, Array]:
    """What the error of each output channel does to the outputs: a quadratic form of its weights (Gauss-Newton).

    Args:
        slopes: float32 [tosses][samples][positions][out], see `_slopes`.

    Returns: the sums over samples of a' a'^T and a' a^T, float64 [groups][out][k][k], a' being what the outputs change
        by with each weight; the sum of the squares of what they change by with an error of 1 at one position, [out].
    """
    now, was = (_effects(layer, values, slopes) for values in (layer.rounded, layer.floats))
    own, cross = (now.swapaxes(2, 3) @ v for v in (now, was))
    damping = DAMPING * np.trace(own, axis1=2, axis2=3)[..., None, None] / own.shape[-1] * np.eye(own.shape[-1])
    return own + damping, cross + damping, np.trace(own, axis1=2, axis2=3).ravel()


def _effects(layer: Layer, values: Sequence[Any], slopes: Array) -> Array:
    """What the outputs change by with each weight, float64 [groups][out][tosses * samples][k], its inputs being taken
    about their mean, which the bias takes care of."""
    samples, positions = slopes.shape[1:3]
    portion = max(1, MOST_ROWS // positions)  # `columns` would leave out some of more
    found, whole = [], torch.cat(list(values))
    total: Any = 0.0
    for first in range(0, samples, portion):
        x = columns(layer, whole[first : first + portion].numpy())
        x = x.reshape(len(x), -1, positions, x.shape[2])  # [groups][samples][positions][k]
        by = slopes[:, first : first + portion]
        by = by.reshape(*by.shape[:3], len(x), -1)
        found.append(np.einsum("tspgo,gspk->gotsk", by, x, optimize=True))
        total = total + x.sum((1, 2))
    mean = total / (samples * positions)
    sums = slopes.reshape(*slopes.shape[:3], len(mean), -1).sum(2).transpose(2, 3, 0, 1)
    moved = np.concatenate(found, 3) - sums[..., None] * mean[:, None, None, None]
    return np.asarray(moved.reshape(*moved.shape[:2], -1, moved.shape[-1]) / np.sqrt(len(slopes)), np.float64)


def descend(moments: Array, cross: Array, weights: Array, steps: Array, limits: tuple[int, int], price: float) -> Array:
    """The integers that coordinate descent reaches from the nearest ones.

    It lowers `_error` of integers * steps and `price` a bit, a value's bits being minus the logarithm of its part of
    all values, counted anew for each sweep.

    Args:
        moments, cross: float64 [groups][out][k][k], see `_moments`.
        weights, steps: float64 [groups][out][k]; limits: the lowest and the highest integer.

    Returns: int64 [groups][out][k].
    """
    low, high = limits
    now = np.clip(np.round(weights / steps), low, high).astype(np.int64)
    slope = np.einsum("goij,goj->goi", moments, now * steps) - np.einsum("goij,goj->goi", cross, weights)
    for _ in range(SWEEPS):
        charge = price * _prices(now, low, high)
        moved = False
        for j in range(now.shape[2]):
            step, old = steps[:, :, j], now[:, :, j]
            curve = np.maximum(moments[:, :, j, j], 1e-30)
            ideal = old - slope[:, :, j] / curve / step
            near = np.clip(np.stack([*(np.round(ideal) + d for d in NEAR), np.zeros_like(ideal), old]), low, high)
            near = near.astype(np.int64)
            costs = curve * (step * (near - ideal)) ** 2 + charge[near - low]
            best = costs.argmin(0)[None]
            gains = costs[-1] - np.take_along_axis(costs, best, 0)[0]
            new = np.take_along_axis(near, best, 0)[0]
            by = np.where(gains > 1e-9 * np.abs(costs[-1]), new - old, 0)  # not for rounding errors' sake
            if by.any():
                moved = True
                now[:, :, j] += by
                slope += moments[:, :, j] * (by * step)[..., None]
        if not moved:
            break
    return now


def _prices(values: Array, low: int, high: int) -> Array:
    """The bits of each integer from low to high, where `values` are what is coded."""
    counts = np.bincount(values.ravel() - low, minlength=high - low + 1)
    bits = np.log2(values.size) - np.log2(np.maximum(counts, 1))
    return np.asarray(np.where(counts > 0, bits, bits + RARE))


def _bits(values: Array) -> Array:
    """The bits of each of the values."""
    low = int(values.min())
    return np.asarray(_prices(values, low, int(values.max()))[values - low])


def _error(moments: Array, cross: Array, weights: Array, coarse: Array) -> float:
    """What the errors of the sums do to the outputs, but for what no weights change."""
    own = np.einsum("goi,goij,goj->", coarse, moments, coarse, optimize=True)
    return float(own - 2 * np.einsum("goi,goij,goj->", coarse, cross, weights, optimize=True))


def _stored(graph: Graph, node: Node, layer: Layer) -> dict[str, Tensor]:
    """The integers of the layer's weights and bias, under the names that they had."""
    scale = np.asarray(layer.quant.scale)
    values = np.round(layer.coarse.numpy() / channels_of(scale, layer.axis, layer.coarse.ndim)).astype(np.int8)
    found = {node.inputs[1]: constant(node.inputs[1], values, layer.quant)}
    if len(node.inputs) > 2 and node.inputs[2]:
        steps = np.float32(graph.tensors[node.inputs[0]].scale) * scale.astype(np.float32)
        quant = Quant(tuple(map(float, steps)), (0,) * len(steps), 0 if len(steps) > 1 else None)
        bias = np.round(layer.corrected.numpy().astype(np.float64) / steps)
        found[node.inputs[2]] = constant(node.inputs[2], bias.astype(np.int32), quant)
    return found


# ---- the whole graph ----------------------------------------------------------------------------------------------


def _slopes(graph: Graph, start: dict[str, Any], names: Collection[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """All values, and of each layer how the outputs change with its sums.

    Returns: values as `_run` gives them; for each of `names` float32 [tosses][samples][positions][out]: the slope of
        the sum of the outputs, each with a random sign, as a part of the root of the sum of their squares.
    """
    leaves = {n: v.clone().requires_grad_(True) for n, v in start.items()}
    values = _run(graph, leaves)
    judged = []
    for name in graph.outputs:
        maker = graph.producer(name)
        judged.append(maker.inputs[0] if maker is not None and maker.op.gives_probabilities else name)
    real = torch.cat([(values[n] * graph.tensors[n].scale).flatten(1) for n in judged], 1)
    energy = float(real.detach().double().square().sum()) or 1.0
    wanted = sorted(names)
    found: dict[str, list[Array]] = {n: [] for n in wanted}
    toss = torch.Generator().manual_seed(0)
    for _ in range(TOSSES):
        signs = torch.randint(0, 2, real.shape, generator=toss) * 2.0 - 1
        slopes = torch.autograd.grad((real * signs).sum(), [values[n] for n in wanted], retain_graph=True)
        for name, slope in zip(wanted, slopes, strict=True):
            t, value = graph.tensors[name], values[name].detach()
            low, high = (v - t.zero_point for v in INT_RANGE[t.dtype])
            # What is clamped does not change with its sum.
            inside = (value > max(low, int(value.min()))) & (value < high)
            each = (slope * inside / (t.scale * energy**0.5)).float()
            found[name].append(each.reshape(len(value), -1, value.shape[-1]).numpy())
    return {n: v.detach() for n, v in values.items()}, {n: np.stack(v) for n, v in found.items()}


def _entered(graph: Graph, inputs: Sequence[Array]) -> dict[str, Any]:
    """The inputs as integers less the zero point, torch float32 [n, ...]."""
    found = {}
    if len(inputs) != len(graph.inputs):
        raise DataError("round_weights, inputs", f"are {len(inputs)} arrays", str(len(graph.inputs)))
    for name, x in zip(graph.inputs, inputs, strict=True):
        t = graph.tensors[name]
        if x.dtype != DTYPES[t.dtype] or not len(x) or x.shape[1:] not in (t.shape, t.shape[1:]):
            shape = f"{t.dtype} [n, {', '.join(map(str, t.shape[1:]))}]"
            raise DataError(f"round_weights, input {name}", f"is {x.dtype} {list(x.shape)}", shape)
        found[name] = torch.tensor(x.astype(np.float32) - t.zero_point).reshape(len(x), *t.shape[1:])
    return found


def _run(graph: Graph, start: dict[str, Any], until: str | None = None) -> dict[str, Any]:
    """All values, or those up to one: integers less the zero point, as the device computes them."""
    values = dict(start)
    samples = len(next(iter(start.values())))
    for node in graph.nodes:
        if until in values:
            break
        xs = [_value(graph.tensors[n], values) if n else None for n in node.inputs]
        ins = [None if t is None else _batched(t, samples) for t in graph.ins(node)]
        outs = [_batched(t, samples) for t in graph.outs(node)]
        values.update(zip(node.outputs, run_node(node, ins, outs, xs, None, False), strict=True))
    return values


def _value(t: Tensor, values: dict[str, Any]) -> Any:
    if t.name in values:
        return values[t.name]
    assert t.data is not None
    if t.quant is None:
        return torch.tensor(t.data)
    zero = channels_of(np.asarray(t.quant.zero_point), t.quant.axis or 0, len(t.shape))
    dtype = torch.float64 if t.dtype == "int32" else torch.float32
    return torch.tensor(t.data.astype(np.int64) - (zero if zero.size > 1 else zero.ravel()), dtype=dtype)


def _batched(t: Tensor, samples: int) -> Tensor:
    return replace(t, shape=(samples, *t.shape[1:])) if not t.is_const and t.shape[:1] == (1,) else t


def _real(values: Any, t: Tensor) -> list[Any]:
    return [(values * t.scale).float()]
