"""The planning stage: a place for every tensor, the bytes of the arena, and the node at which it is fullest."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Place, Tensor
from .arena import fullest, place
from .storage import groups, scratch_groups, scratch_name


def plan(graph: Graph) -> Graph:
    """Graph -> Graph with each tensor's `place`, `arena_bytes` and `peak`.

    Scratch is a tensor of its own (int8, named NODE:scratch) so that emission finds it like any other.
    """
    shared, graph = groups(graph)
    scratch = scratch_groups(graph.nodes)
    arena = [g for g in shared if g.place is None] + scratch
    offsets, size = place(arena)
    places: dict[str, Place] = {}
    for g in (*shared, *scratch):
        where = g.place or Place("arena", offset=offsets[g.members])
        places |= dict.fromkeys(g.members, where)
    tensors: dict[str, Tensor] = {}
    for name, t in graph.tensors.items():
        tensors[name] = replace(t, place=Place("const", of=name) if t.is_const else places[name])
    for node, g in zip([n for n in graph.nodes if scratch_name(n) in places], scratch, strict=True):
        name = scratch_name(node)
        tensors[name] = Tensor(name, (g.bytes,), "int8", place=places[name])
    peak = graph.nodes[fullest(arena, len(graph.nodes))].name if arena and graph.nodes else ""
    return replace(graph, tensors=tensors, arena_bytes=size, peak=peak)
