"""Which channels can only be removed together: the dependency analysis of structured pruning.

Every element of every tensor gets a channel number. An operator with weights makes new ones; all others pass on, by
their rule (`Op.channels`), the numbers of what they read, and say which of them must be equal. Numbers that came out
equal are a group (as in DepGraph, Fang et al., CVPR 2023); it is removed whole or not at all. Number 0 stays.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...errors import GraphError
from ...graph import Array, Graph
from ...ops.channel_ties import ChannelTies, Role


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
    """The groups of channels of a graph. Inputs and outputs of the graph stay as they are, and so do all tensors of an
    operator without a rule."""
    ties = ChannelTies()
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


def _result(graph: Graph, ties: ChannelTies) -> Dependencies:
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
