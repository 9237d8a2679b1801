"""Learned rounding: which way each weight is rounded is chosen for the layer's result, not for the weight.

The error of a layer's sums is a quadratic form of its weights, with the second moments of its inputs (Nagel et al.,
ICML 2020, equation 13). That paper relaxes the choice and follows a gradient. Here one weight after the other moves to
its best step while all others stay, until none moves (coordinate descent, as in Behdin et al., 2023, and Nair and
Suggala, 2024). The error never grows, nothing is random, and nothing has to be tuned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Array
from .side_by_side import Layer, channels_of
from .weights import levels

SWEEPS = 30
"""Over all weights of a layer at most; most end after ten."""
DAMPING = 0.01
"""Of the mean second moment, added to each: inputs that few samples excite must not be traded for others."""
MOST_ROWS = 1 << 15
"""Positions of a portion that are looked at, evenly spread."""
MOST_TAPS = 4096
"""Inputs of one sum: a layer with more keeps its rounding, for its second moments alone would take 128 MB."""


def with_learned_rounding(layer: Layer) -> Layer:
    """The layer with other roundings, each within one step of its float weight. Transposed convolutions are left."""
    if not layer.op.has_windows or _taps(layer) > MOST_TAPS:
        return layer
    shape = tuple(layer.weights.shape)
    scales = channels_of(np.asarray(layer.quant.scale), layer.axis, len(shape))
    weights = layer.weights.numpy().astype(np.float64)
    steps = np.broadcast_to(scales, shape)
    moments, cross = _moments(layer)
    coarse = layer.coarse.numpy().astype(np.float64)
    found = descend(
        moments, cross, grouped(layer, weights), grouped(layer, coarse), grouped(layer, steps),
        levels(layer.quant.bits),
    )  # fmt: skip
    back = layer.op.ungrouped(found, shape)
    return replace(layer, coarse=layer.coarse.new_tensor(np.round(back / scales) * scales))


def descend(
    moments: Array, cross: Array, weights: Array, coarse: Array, steps: Array, limits: tuple[int, int]
) -> Array:
    """The multiples of `steps` that coordinate descent reaches from `coarse`.

    It lowers sum((coarse x' - weights x)**2) over samples, x' being the inputs that the quantized layer gets.

    Args:
        moments: mean of x' x'^T, float64 [groups][k][k]; cross: mean of x' x^T.
        weights, coarse, steps: float64 [groups][out][k]; `steps` is the scale of each weight.
        limits: the lowest and highest integer.
    """
    now = coarse.copy()
    slope = moments @ now.transpose(0, 2, 1) - cross @ weights.transpose(0, 2, 1)  # [groups][k][out]
    low = np.maximum(np.floor(weights / steps), limits[0]) * steps
    high = np.minimum(np.ceil(weights / steps), limits[1]) * steps
    low, high = np.minimum(low, coarse), np.maximum(high, coarse)  # what the scale clips may stay where it is
    for _ in range(SWEEPS):
        moved = False
        for j in range(now.shape[2]):
            curve = np.maximum(moments[:, j, j], 1e-30)[:, None]
            wanted = now[:, :, j] - slope[:, j] / curve
            wanted = np.clip(np.round(wanted / steps[:, :, j]) * steps[:, :, j], low[:, :, j], high[:, :, j])
            by = wanted - now[:, :, j]
            gain = -(2 * by * slope[:, j] + by * by * curve)
            by = np.where(gain > 1e-12 * curve * steps[:, :, j] ** 2, by, 0.0)  # not for rounding errors' sake
            if by.any():
                moved = True
                now[:, :, j] += by
                slope += moments[:, :, j, None] * by[:, None, :]
        if not moved:
            break
    return now


def _moments(layer: Layer) -> tuple[Array, Array]:
    """Means of x' x'^T and x' x^T about the mean, damped: the bias takes care of the mean."""
    count = 0
    total: Any = None
    for x, seen in zip(layer.floats, layer.rounded, strict=True):
        real, coarse = columns(layer, x.numpy()), columns(layer, seen.numpy())  # [groups][rows][k]
        turned = coarse.transpose(0, 2, 1)
        parts = (turned @ coarse, turned @ real, coarse.sum(1), real.sum(1))
        total = parts if total is None else tuple(a + b for a, b in zip(total, parts, strict=True))
        count += real.shape[1]
    own, both, mean_coarse, mean_real = (t / count for t in total)
    own = own - mean_coarse[:, :, None] * mean_coarse[:, None, :]
    both = both - mean_coarse[:, :, None] * mean_real[:, None, :]
    k = own.shape[1]
    damping = DAMPING * np.trace(own, axis1=1, axis2=2)[:, None, None] / k * np.eye(k)
    return own + damping, both + damping


def columns(layer: Layer, x: Array) -> Array:
    """What each sum is made of, float64 [groups][rows][k]; rows are positions."""
    return layer.op.windows(x, tuple(layer.weights.shape), MOST_ROWS)


def _taps(layer: Layer) -> int:
    size = layer.weights.numel() // layer.weights.shape[layer.axis]
    return int(size)


def grouped(layer: Layer, weights: Array) -> Array:
    """Weights as [groups][out][k], in the order of `columns`."""
    return layer.op.grouped(weights, layer.floats[0].shape[-1])
