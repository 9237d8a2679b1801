"""The planning stage: a place for every tensor, the bytes of the arena, and the node at which it is fullest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from ..graph import Graph, Node, Place, equal_constants
from ..ops.base import Scratch
from .arena import Offsets, alive, fullest, place
from .storage import Group, groups, lags, scratch_groups, scratch_member

MANY_NODES = 2000
"""Above that, no overlaps in part are tried: each costs a look at all groups."""


def plan(graph: Graph, lagging: Collection[int] | None = None) -> Graph:
    """Graph -> Graph with each tensor's `place`, each scratch's offset, `arena_bytes` and `peak`.

    Planned with overlaps in part where they lower the most bytes alive at one node, and without; the smaller arena is
    taken. `lagging`: the numbers of the nodes that overlap in part; without it they are searched for.
    """
    ways = ((), overlapping(graph)) if lagging is None else (lagging,)
    return min((_planned(graph, way) for way in dict.fromkeys(map(frozenset, ways))), key=lambda g: g.arena_bytes or 0)


def overlapping(graph: Graph) -> frozenset[int]:
    """The nodes whose output is to overlap their input in part. They are chosen one at a time, at the node where most
    bytes are alive, as long as that lowers the most."""
    could = set(lags(graph)) if len(graph.nodes) <= MANY_NODES else set()
    chosen: frozenset[int] = frozenset()
    most = _fullness(graph, chosen)
    while True:
        peak = most[2]
        at = next((i for i in (peak, peak - 1, peak + 1) if i in could), None)
        if at is None:
            return chosen
        could.remove(at)
        found = _fullness(graph, chosen | {at})
        if found[:2] < most[:2]:
            chosen, most = chosen | {at}, found


def _fullness(graph: Graph, lagging: Collection[int]) -> tuple[int, int, int]:
    """The most bytes alive at one node, at how many nodes, and the first of these."""
    arena = _in_arena(groups(graph, lagging)[0], graph)
    needed = alive(arena, len(graph.nodes))[1:]
    most = max(needed, default=0)
    return most, needed.count(most), needed.index(most) if needed else -1


def _in_arena(shared: Sequence[Group], graph: Graph) -> list[Group]:
    return [g for g in shared if g.place is None] + scratch_groups(graph)


def _planned(graph: Graph, lagging: Collection[int]) -> Graph:
    shared, graph = groups(graph, lagging)
    arena = _in_arena(shared, graph)
    offsets, size = place(arena)
    places: dict[str, Place] = {}
    for g in shared:
        if g.place is not None:
            places |= dict.fromkeys(g.members, g.place)
        else:
            places |= {name: Place("arena", offset=at) for name, at in g.at(offsets[g.members]).items()}
    places |= {name: Place("const", of=first) for name, first in equal_constants(graph).items()}
    tensors = {name: replace(t, place=places[name]) for name, t in graph.tensors.items()}
    peak = graph.nodes[fullest(arena, len(graph.nodes))].name if arena and graph.nodes else ""
    nodes = tuple(_with_scratch(node, i, graph, offsets) for i, node in enumerate(graph.nodes))
    return replace(graph, nodes=nodes, tensors=tensors, arena_bytes=size, peak=peak)


def _with_scratch(node: Node, i: int, graph: Graph, offsets: Offsets) -> Node:
    calls = []
    for c, call in enumerate(node.calls):
        args = [
            replace(a, offset=offsets[(scratch_member(graph, i, c, k),)]) if isinstance(a, Scratch) else a
            for k, a in enumerate(call.args)
        ]
        calls.append(replace(call, args=tuple(args)))
    return replace(node, calls=tuple(calls))
