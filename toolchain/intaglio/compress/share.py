"""Parameter sharing, hard: the weights of a layer take few values, found by k-means (Han et al., ICLR 2016).

A codebook is a torch parametrization: training goes on with its entries as the parameters, so that the gradients of all
weights that share an entry are summed. The entries lie on the device's int8 grid, so the module, its Graph and the
integers agree: k values become at most k integers. A mark (`Quant`) tells the Graph so, and quantization keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import DataError
from ..floats.simplify import simplify
from ..graph import Array, Quant
from ..train.module import GraphModule
from .layers import Weights, by_layer, weights_of

STEPS = 127
"""The largest entry of a codebook is so many steps of its grid."""
SMALLEST = 1e-30
"""A step is at least this: a codebook may hold nothing but zeros."""
ROUNDS = 100
"""Of k-means at most; in one dimension it is done long before."""
MOST = 256
"""Entries of a codebook at most: an index is a byte."""


class Shared(nn.Module):  # type: ignore[misc]
    """A parametrization that gives weights few values: the last one that they get."""


class Soft(Shared):
    """A parametrization that draws weights to few values; `soft_share.harden` makes a codebook of it."""

    def hard(self, weights: Any, axis: int) -> Codebook:
        """The codebook for `weights`, as they are now; `axis` is that of their output channels."""
        raise NotImplementedError


class Codebook(Shared):
    """A parametrization that gives entries of codebooks in place of the weights.

    `entries` [groups, k] are the parameters; `indices`, shaped like the weights, number them group after group, each
    group having its zero first when `zero` is true, which no training moves.
    """

    def __init__(self, entries: Any, indices: Any, zero: bool, axis: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(entries)
        self.register_buffer("indices", indices)
        self.zero, self.axis = zero, axis

    def forward(self, weights: Any) -> Any:
        """The shared weights, float32; of `weights` nothing is used."""
        table, steps = self.entries, self._steps()
        # Rounded, with the gradient of what is not: the difference of the entries to themselves is exactly 0.
        table = ((table / steps).round() * steps).detach() + (table - table.detach())
        if self.zero:
            table = torch.cat([torch.zeros_like(table[:, :1]), table], 1)
        return table.flatten()[self.indices]

    def grid(self) -> Quant:
        """The grid of the weights: one step for all, or one an output channel where there are several groups."""
        steps = self._steps().flatten().tolist()
        if len(steps) == 1:
            return Quant(tuple(steps), (0,))
        channels = self.indices.shape[self.axis]
        scale = tuple(steps[g] for g in group_of(channels, len(steps)).tolist())
        return Quant(scale, (0,) * channels, self.axis)

    def _steps(self) -> Any:
        """float32 [groups, 1]."""
        return (self.entries.detach().abs().amax(1, keepdim=True) / STEPS).clamp_min(SMALLEST)


def share(
    module: GraphModule, entries: int | Mapping[str, int], *, groups: int | Mapping[str, int] = 1
) -> dict[str, float]:
    """Give layers codebooks, found by k-means from entries spread evenly over their range.

    Weights that are zero stay zero, with an entry of their own: prune before sharing. Training, with whatever loop,
    then tunes the entries; which weight has which stays. The gradient of an entry is the sum over its weights, maybe
    thousands: plain SGD at the weights' own rate diverges, Adam does not.

    Args:
        module: of `quantization_aware`, or of `to_module(simplify(graph))`: batch norms must be folded before, for they
            scale each channel by its own factor. Changed in place.
        entries: how many values the weights of a layer take, 2 to 256, zero included; for all layers with weights, or
            by the name of a layer or a pattern, the later ones winning and the others being left alone.
        groups: codebooks a layer, each for as many neighbouring output channels, and each with a grid of its own; 1
            gives weights with a single scale. For all, or by name or pattern, others having 1.

    Returns: by layer, the root of the mean square of what its weights changed by, relative to that of its weights.
    Raises: DataError for values out of range, a layer that does not exist, has a codebook already, or has a batch norm
        behind it; then nothing is shared.
    """
    chosen = sharable(module, entries, groups)
    made = [(w, codebook(w.value().cpu().numpy(), k, w.axis, many)) for w, k, many in chosen]
    errors = {}
    for w, found in made:
        before = w.value().double()
        replace_by(w, found)
        errors[w.name] = change(before, w.value())
    return errors


def keep_codebooks(module: GraphModule) -> dict[str, int]:
    """Give layers whose weights the graph says to be shared their codebooks again: they stay so while it trains.

    Args:
        module: of `to_module` or `quantization_aware`, made of a graph that a module with codebooks gave; changed in
            place.

    Returns: the entries of each layer that has them; others are left alone.
    """
    entries, groups = {}, {}
    for w in weights_of(module):
        quant = module.graph.tensors[w.constant].quant
        if quant is None or quant.bits != 8:
            continue
        rows = np.moveaxis(w.value().cpu().numpy(), w.axis, 0)
        groups[w.name] = _groups_of(quant.scale, len(rows))
        owner = group_of(len(rows), groups[w.name])
        parts = [rows[owner == g] for g in range(groups[w.name])]
        # A zero takes an entry of every group, wherever it is.
        most = max(len(np.unique(part[part != 0])) for part in parts) + int((rows == 0).any())
        entries[w.name] = max(2, most)
    if entries:
        share(module, entries, groups=groups)
    return entries


def _groups_of(scales: Sequence[float], channels: int) -> int:
    """The least number of groups within each of which all channels have one scale."""
    if len(scales) == 1:
        return 1
    every = np.asarray(scales)
    for groups in range(1, channels):
        owner = group_of(channels, groups)
        if all(len(np.unique(every[owner == g])) == 1 for g in range(groups)):
            return groups
    return channels


def codebook(weights: Array, k: int, axis: int, groups: int = 1) -> Codebook:
    """The Codebook of float32 `weights` with k entries, for each of `groups` parts of its channels along `axis`.

    A zero among the weights takes one of the k. Weights of fewer values than k keep them, but for their grid.
    """
    rows = np.moveaxis(weights, axis, 0)
    owner = group_of(len(rows), groups)
    zero = bool((weights == 0).any())
    free = k - zero
    table = np.zeros((groups, free), np.float32)
    indices = np.zeros(rows.shape, np.int64)
    for g in range(groups):
        part = rows[owner == g]
        values = part[part != 0] if zero else part.ravel()
        centres = k_means(values, free)
        table[g, : len(centres)] = centres
        index = nearest(part, centres) + zero if len(centres) else np.zeros(part.shape, np.int64)
        indices[owner == g] = np.where(part == 0, 0, index) + g * k if zero else index + g * k
    moved = np.ascontiguousarray(np.moveaxis(indices, 0, axis))
    return Codebook(torch.tensor(table), torch.tensor(moved), zero, axis)


def k_means(values: Array, k: int) -> Array:
    """At most k centres of float `values`, float64, ascending: Lloyd's iteration from centres spread evenly from the
    least to the greatest value (Han et al. found that this keeps the few large weights best).

    A centre that no value is nearest to moves to the value that is farthest from its own.
    """
    every = np.sort(np.asarray(values, np.float64).ravel())
    distinct = np.unique(every)
    if len(distinct) <= k:
        return distinct
    sums = np.concatenate([[0.0], np.cumsum(every)])
    centres = np.linspace(every[0], every[-1], k)
    for _ in range(ROUNDS):
        ends = np.searchsorted(every, (centres[:-1] + centres[1:]) / 2, side="right")
        bounds = np.concatenate([[0], ends, [len(every)]])
        sizes = np.diff(bounds)
        moved = np.where(sizes > 0, np.diff(sums[bounds]) / np.maximum(sizes, 1), centres)
        for empty in np.flatnonzero(sizes == 0):
            filled = np.sort(np.delete(moved, np.flatnonzero(sizes == 0)))
            moved[empty] = every[np.argmax(np.abs(every - filled[nearest(every, filled)]))]
            sizes[empty] = 1
        moved.sort()
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def nearest(values: Array, centres: Array) -> Array:
    """The index of the nearest of ascending `centres` for each value; of two equally near the lower."""
    return np.searchsorted((centres[:-1] + centres[1:]) / 2, np.asarray(values, np.float64))


def group_of(channels: int, groups: int) -> Array:
    """Which of `groups` each channel belongs to: neighbours together, sizes differing by 1 at most."""
    return np.arange(channels) * groups // channels


# ---- what soft sharing needs as well ------------------------------------------------------------------------------


def sharable(
    module: GraphModule, entries: int | Mapping[str, int], groups: int | Mapping[str, int] = 1
) -> list[tuple[Weights, int, int]]:
    """The layers with the entries and the codebooks that each is to get. Raises DataError as `share`."""
    chosen = by_layer(module, "share, entries", entries)
    many = {w.constant: count for w, count in by_layer(module, "share, groups", groups)}
    simplified = simplify(module.graph)
    for w, k in chosen:
        _require(w, k, many.get(w.constant, 1))
        folded = simplified.tensors.get(w.constant)
        if folded is None or not np.array_equal(_data(folded), _data(module.graph.tensors[w.constant])):
            remedy = "Share the weights of quantization_aware, or of to_module(simplify(graph))"
            raise DataError(f"share, layer {w.name!r}", "a batch norm behind it would change its weights", "", remedy)
    return [(w, k, many.get(w.constant, 1)) for w, k in chosen]


def replace_by(w: Weights, book: Codebook) -> None:
    """Put a codebook in the place of the weights."""
    # No optimizer should have what nothing reads.
    w.original().requires_grad_(False)
    w.parametrize(book.to(w.original().device))


def change(before: Any, after: Any) -> float:
    """The root of the mean square of what weights changed by, relative to that of the weights."""
    norm = float(before.double().square().mean().sqrt())
    return float((after.double() - before.double()).square().mean().sqrt()) / norm if norm else 0.0


def _require(w: Weights, k: int, groups: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not 2 <= k <= MOST:
        raise DataError(f"share, entries of {w.name!r}", f"is {k!r}", f"a whole number, 2 to {MOST}")
    channels = w.value().shape[w.axis]
    if isinstance(groups, bool) or not isinstance(groups, int) or not 1 <= groups <= channels:
        raise DataError(f"share, groups of {w.name!r}", f"is {groups!r}", f"1 to its {channels} output channels")
    if any(isinstance(step, Shared) for step in w.steps()):
        raise DataError(f"share, layer {w.name!r}", "shares its weights already", "", "Share a layer once")


def _data(t: Any) -> Array:
    assert t.data is not None
    return np.asarray(t.data)
