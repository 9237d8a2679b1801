"""Which channels can only be removed together: the dependency analysis of structured pruning.

Every element of every tensor gets a channel number. An operator with weights makes new ones; all others pass on, by
their rule (`Op.channels`), the numbers of what they read, and say which of them must be equal. Numbers that came out
equal are a group (as in DepGraph, Fang et al., CVPR 2023); it is removed whole or not at all. Number 0 stays.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import GraphError
from ..graph import Array, Graph, Tensor
from ..ops.base import Ins, Op, Outs

Role = Literal["makes", "reads", "beside", "flows"]
"""What a part of a tensor is to its channel: the weights that compute it, the weights that multiply it, a constant that
goes with it (bias, batch norm, slope), or the activation itself."""


@dataclass(frozen=True, eq=False)
class Along:
    """The groups of the indices along one axis of a tensor, int64 [shape[axis]]; -1 for an index that stays."""

    tensor: str
    axis: int
    role: Role
    groups: Array


@dataclass(frozen=True, eq=False)
class Family:
    """Groups that are in the same tensors equally often: any of them can be removed as well as any other.

    The output channels of a layer are one family, unless they are cut, or joined with others, further on.
    """

    layers: tuple[str, ...]
    """The nodes whose constants compute these channels or go with them, in execution order."""
    groups: Array
    """int64, ascending."""
    counts: frozenset[int]
    """How many indices of an axis a group takes, over all tensors."""

    def step(self, round_to: int) -> int:
        """The least number of groups that is a multiple of `round_to` channels in every tensor."""
        return math.lcm(*(round_to // math.gcd(round_to, n) for n in self.counts))


@dataclass(frozen=True, eq=False)
class Dependencies:
    """The groups of a graph, numbered from 0 in the order in which the graph computes them."""

    count: int
    tensors: Mapping[str, tuple[Along, ...]]
    """For each tensor the axes along which it can lose indices: an activation has one at most, weights two."""
    families: tuple[Family, ...]

    def parts(self, *roles: Role) -> list[Along]:
        return [a for found in self.tensors.values() for a in found if a.role in roles]


def dependencies(graph: Graph) -> Dependencies:
    """The groups of channels of a graph. What the graph reads and what it gives stays as it is, and so does what an
    operator without a rule has to do with."""
    ties = Channels()
    for name in graph.inputs:
        ties.put(graph.tensors[name], np.zeros(graph.tensors[name].shape, np.int64))
    for node in graph.nodes:
        outs = graph.outs(node)
        for t, numbers in zip(outs, node.op.channels(graph.ins(node), outs, ties), strict=True):
            if np.shape(numbers) != t.shape:
                raise GraphError(f"node {node.name}", f"has channel numbers {np.shape(numbers)} for {t.shape}")
            ties.put(t, numbers)
    for name in graph.outputs:
        ties.keep(ties.along_any(graph.tensors[name]))
    # A constant that somebody reads otherwise than through these channels stays whole.
    reads = Counter(n for node in graph.nodes for n in node.inputs)
    for (name, _), found in ties.cuts.items():
        for _, numbers in found:
            ties.tie(numbers, found[0][1])
        if len(found) != reads[name] or name in graph.outputs:
            ties.keep(found[0][1])
    return _result(graph, ties)


def _result(graph: Graph, ties: Channels) -> Dependencies:
    found: dict[str, list[tuple[int, Role, Array]]] = {}
    for name, (axis, numbers) in ties.flows.items():
        if graph.tensors[name].shape:
            found.setdefault(name, []).append((axis, "flows", ties.roots(numbers)))
    for (name, axis), cuts in ties.cuts.items():
        roles: list[Role] = [role for role, _ in cuts]
        found.setdefault(name, []).append((axis, "makes" if "makes" in roles else roles[0], ties.roots(cuts[0][1])))
    roots = np.unique(np.concatenate([np.zeros(1, np.int64), *(n for axes in found.values() for _, _, n in axes)]))
    # Root 0 is the first of them and becomes -1: what stays.
    tensors = {
        name: tuple(Along(name, axis, role, np.searchsorted(roots, n) - 1) for axis, role, n in axes)
        for name, axes in found.items()
    }
    tensors = {name: axes for name, axes in tensors.items() if any((a.groups >= 0).any() for a in axes)}
    return Dependencies(len(roots) - 1, tensors, _families(graph, len(roots) - 1, tensors))


def _families(graph: Graph, count: int, tensors: Mapping[str, tuple[Along, ...]]) -> tuple[Family, ...]:
    places: list[list[tuple[str, int, int]]] = [[] for _ in range(count)]
    for a in (a for axes in tensors.values() for a in axes):
        for group, times in zip(*np.unique(a.groups[a.groups >= 0], return_counts=True), strict=True):
            places[group].append((a.tensor, a.axis, int(times)))
    alike: dict[tuple[tuple[str, int, int], ...], list[int]] = {}
    for group, where in enumerate(places):
        alike.setdefault(tuple(where), []).append(group)
    made = {(a.tensor, a.axis) for axes in tensors.values() for a in axes if a.role in ("makes", "beside")}
    families: list[Family] = []
    for shared, groups in alike.items():
        own = {tensor for tensor, axis, _ in shared if (tensor, axis) in made}
        layers = tuple(n.name for n in graph.nodes if own.intersection(n.inputs))
        families.append(Family(layers, np.array(groups), frozenset(times for _, _, times in shared)))
    return tuple(families)


class Channels:
    """What the rules of the operators work with: channel numbers, and which of them are equal."""

    def __init__(self) -> None:
        self._parent = np.zeros(1, np.int64)
        self.flows: dict[str, tuple[int, Array]] = {}
        """Tensor that is computed, or an input -> the axis that its channels lie along, and their numbers."""
        self.cuts: dict[tuple[str, int], list[tuple[Role, Array]]] = {}
        """(constant, axis) -> the numbers of its indices, once for each time that a node reads it."""

    # ---- for the rules ------------------------------------------------------------------------------------------

    def new(self, count: int) -> Array:
        """So many channels that depend on no other, int64 [count]."""
        start = len(self._parent)
        found = np.arange(start, start + count)
        self._parent = np.concatenate([self._parent, found])
        return found

    def tie(self, a: Array, b: Array) -> None:
        """a[i] and b[i] can only be removed together; the shapes broadcast."""
        both = np.stack([x.ravel() for x in np.broadcast_arrays(self.roots(a), self.roots(b))])
        for one, other in np.unique(both[:, both[0] != both[1]], axis=1).T.tolist():
            one, other = int(self.roots(one)), int(self.roots(other))
            self._parent[max(one, other)] = min(one, other)

    def keep(self, numbers: Array) -> None:
        """These channels stay."""
        self.tie(numbers, np.zeros(1, np.int64))

    def cut(self, t: Tensor | None, axis: int, numbers: Array, role: Role = "beside") -> None:
        """Index i of a constant along `axis` goes with channel numbers[i]. Nothing for an absent input."""
        if t is None:
            return
        if t.is_const:
            self.cuts.setdefault((t.name, axis), []).append((role, numbers))
        else:
            self.keep(numbers)
            self.keep(self.along_any(t))

    def of(self, t: Tensor) -> Array:
        """The number of each element, [shape]; 0 for constants and state."""
        if t.name not in self.flows:
            return np.zeros(t.shape, np.int64)
        axis, numbers = self.flows[t.name]
        return self.spread(numbers, t.shape, axis) if t.shape else np.zeros((), np.int64)

    def axis(self, t: Tensor) -> int:
        """The axis that an activation's channels lie along; the last one where they stay anyway, -1 for a scalar."""
        return self.flows[t.name][0] if t.name in self.flows else len(t.shape) - 1

    def along_any(self, t: Tensor) -> Array:
        """The numbers along `axis(t)`."""
        return self.flows[t.name][1] if t.name in self.flows else np.zeros(t.shape[-1:], np.int64)

    def along(self, t: Tensor, axis: int) -> Array:
        """The numbers along `axis`, for a rule that knows channels there only: others stay."""
        if self.axis(t) == axis:
            return self.along_any(t)
        self.keep(self.along_any(t))
        return np.zeros(t.shape[axis], np.int64)

    def blocked(self, ins: Ins, outs: Outs) -> list[Array]:
        """For a node through which nothing can be cut: what it reads stays, and so does what it gives."""
        for t in ins:
            if t is not None:
                self.keep(self.along_any(t))
        return [np.zeros(t.shape, np.int64) for t in outs]

    def moved(self, op: Op, ins: Ins, outs: Outs) -> list[Array]:
        """For an operator that only moves elements: its reference moves their numbers."""
        return op.reference([None if t is None else self.of(t) for t in ins], ins, outs)

    @staticmethod
    def spread(numbers: Array, shape: Sequence[int], axis: int) -> Array:
        """Numbers along one axis as an array of `shape`, without copying them."""
        return np.broadcast_to(numbers.reshape([-1 if d == axis else 1 for d in range(len(shape))]), shape)

    # ---- for the analysis ---------------------------------------------------------------------------------------

    def roots(self, numbers: Array | int) -> Array:
        """For each channel the least number that is equal to it."""
        while True:
            up = self._parent[numbers]
            if np.array_equal(up, numbers):
                return up
            numbers = up

    def put(self, t: Tensor, numbers: Array) -> None:
        """Take over an activation's numbers, [shape]. A tensor loses indices along one axis, so that a box is left:
        where numbers change along several, those across are tied. It is the last one, unless that ties all."""
        if not t.shape:
            self.keep(numbers)
            self.flows[t.name] = -1, np.zeros(0, np.int64)
            return
        seen = self.roots(numbers[tuple(slice(None) if s else slice(1) for s in np.asarray(numbers).strides)])
        varying = [d for d, n in enumerate(seen.shape) if n > 1 and (seen != seen.take([0], d)).any()]
        axis = varying[-1] if varying else len(t.shape) - 1
        if len(varying) > 1 and self._left(seen, axis) == 1:
            axis = max(varying, key=lambda d: self._left(seen, d))
        rows = np.moveaxis(seen, axis, 0).reshape(seen.shape[axis], -1)
        self.tie(rows[:, :1], rows)
        self.flows[t.name] = axis, np.broadcast_to(rows[:, 0], (t.shape[axis],))

    def _left(self, numbers: Array, axis: int) -> int:
        """How many different numbers lie along `axis` once those across it are tied."""
        before = self._parent.copy()
        rows = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1)
        self.tie(rows[:, :1], rows)
        left = len(np.unique(self.roots(rows[:, 0])))
        self._parent = before
        return left
