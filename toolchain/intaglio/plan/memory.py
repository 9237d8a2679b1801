"""The planning stage: a place for every tensor, the bytes of the arena, and the node at which it is fullest."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node, Place, Tensor
from ..ops.base import Scratch
from .arena import Offsets, fullest, place
from .storage import groups, scratch_groups, scratch_member


def plan(graph: Graph) -> Graph:
    """Graph -> Graph with each tensor's `place`, each scratch's offset, `arena_bytes` and `peak`."""
    shared, graph = groups(graph)
    arena = [g for g in shared if g.place is None] + scratch_groups(graph)
    offsets, size = place(arena)
    places: dict[str, Place] = {}
    for g in shared:
        where = g.place or Place("arena", offset=offsets[g.members])
        places |= dict.fromkeys(g.members, where)
    tensors: dict[str, Tensor] = {}
    stored: dict[tuple[str, bytes], str] = {}
    for name, t in graph.tensors.items():
        if t.data is not None and t.is_const:
            # Equal constants lie in flash once.
            first = stored.setdefault((t.dtype, t.data.tobytes()), name)
            tensors[name] = replace(t, place=Place("const", of=first))
        else:
            tensors[name] = replace(t, place=places[name])
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
