"""Which tensors share bytes: views lie on their input, and an operator may overwrite an input that dies there.

Tensors with the same bytes form a group. A group lives in the arena, or in the caller's input or output buffer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..graph import DTYPES, Graph, Node, Place, Tensor, fresh
from ..ops.assign_variable import AssignVariable
from ..ops.base import Scratch
from ..ops.read_variable import ReadVariable


@dataclass(frozen=True)
class Group:
    """Tensors that share bytes, in node numbers: written at `start` (-1: before the first node), last used at `end`.

    A scratch is a group of its own. `place` is None for the arena.
    """

    members: tuple[str, ...]
    bytes: int
    align: int
    start: int
    end: int
    place: Place | None = None


def groups(graph: Graph) -> tuple[list[Group], Graph]:
    """The groups of every tensor that is not a constant, and the graph without the calls that sharing made idle."""
    made: dict[str, int] = {}
    used: dict[str, int] = {}
    for i, node in enumerate(graph.nodes):
        made |= dict.fromkeys(node.outputs, i)
        used |= dict.fromkeys(node.inputs, i)
    found = {t.name: _alone(graph, t, made, used) for t in graph.tensors.values() if not t.is_const}
    nodes: list[Node] = []
    for i, node in enumerate(graph.nodes):
        if node.op.is_view or isinstance(node.op, ReadVariable):
            source, out = graph.tensors[node.inputs[0]], graph.outs(node)[0]
            if source.is_const or not _can_alias(graph, node, i, found):
                nodes.append(node)
                continue
            _join(found, source.name, out.name)
            nodes.append(replace(node, calls=()))
            continue
        if isinstance(node.op, AssignVariable) and found.get(node.inputs[0]) is found[node.inputs[1]]:
            nodes.append(replace(node, calls=()))  # the state is assigned to itself
            continue
        victim = _overwritten(graph, node, i, found)
        if victim:
            _join(found, victim, node.outputs[0])
        nodes.append(node)
    unique = {id(g): g for g in found.values()}
    return list(unique.values()), replace(graph, nodes=tuple(nodes))


def scratch_groups(graph: Graph) -> list[Group]:
    """A group for each scratch of a call, alive during its node alone."""
    return [
        Group((scratch_member(graph, i, c, k),), a.nbytes, 4 if a.nbytes >= 4 else DTYPES[a.dtype].itemsize, i, i)
        for i, node in enumerate(graph.nodes)
        for c, call in enumerate(node.calls)
        for k, a in enumerate(call.args)
        if isinstance(a, Scratch)
    ]


def scratch_member(graph: Graph, node: int, call: int, argument: int) -> str:
    """What stands for a scratch among the names of tensors."""
    return fresh(f"scratch:{node}:{call}:{argument}", graph.tensors)


def _alone(graph: Graph, t: Tensor, made: dict[str, int], used: dict[str, int]) -> Group:
    """`made` and `used`: the node that writes a tensor, and the last that reads it."""
    last = len(graph.nodes)
    start = made.get(t.name, -1)
    end = max(start, used.get(t.name, -1))
    place: Place | None = None
    if t.state:
        start, end = -1, last
    elif t.name in graph.inputs:
        place = Place("input", index=graph.inputs.index(t.name))
    if t.name in graph.outputs:
        place, end = Place("output", index=graph.outputs.index(t.name)), last
    # A word-sized load of int8 data is what fast kernels do: buffers of 4 bytes and more start on a word.
    align = 4 if t.nbytes >= 4 else DTYPES[t.dtype].itemsize
    return Group((t.name,), t.nbytes, align, start, end, place)


def _join(found: dict[str, Group], a: str, b: str) -> None:
    ga, gb = found[a], found[b]
    joined = Group(
        ga.members + gb.members,
        max(ga.bytes, gb.bytes),
        max(ga.align, gb.align),
        min(ga.start, gb.start),
        max(ga.end, gb.end),
        ga.place or gb.place,
    )
    for name in joined.members:
        found[name] = joined


def _can_alias(graph: Graph, node: Node, i: int, found: dict[str, Group]) -> bool:
    """Whether a view's output can lie on its input."""
    source, out = found[node.inputs[0]], found[node.outputs[0]]
    if source.place is not None and out.place is not None:
        return False
    states = [m for m in source.members if graph.tensors[m].state]
    if not states:
        # An output's buffer must not be written before its group begins; joining moves that begin to the source's.
        return not (out.place is not None and any(m in graph.inputs for m in source.members))
    # The value read must survive until its last use: no assignment to the state before that, and no caller's buffer.
    assigned = [k for k, n in enumerate(graph.nodes) if not n.outputs and n.inputs[1] in states and k > i]
    return out.place is None and all(out.end <= k for k in assigned)


def _overwritten(graph: Graph, node: Node, i: int, found: dict[str, Group]) -> str:
    """The input whose bytes the node's first output may take, or ""."""
    if not node.outputs or not node.op.inplace:
        return ""
    out = graph.tensors[node.outputs[0]]
    for k in node.op.inplace:
        name = node.inputs[k] if k < len(node.inputs) else ""
        if not name or name not in found:
            continue
        t, group, target = graph.tensors[name], found[name], found[out.name]
        dies = group.end == i and not any(graph.tensors[m].state for m in group.members)
        free = group.place is None and group.bytes <= target.bytes
        same = t.shape == out.shape and DTYPES[t.dtype].itemsize == DTYPES[out.dtype].itemsize
        if dies and free and same:
            return name
    return ""
