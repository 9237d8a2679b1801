"""Which tensors share bytes: views lie on their input, and an operator may overwrite an input that dies there.

Tensors with the same bytes form a group. A group lives in the arena, or in the caller's input or output buffer.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from ..graph import DTYPES, Graph, Node, Place, fresh
from ..ops.base import Scratch


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


@dataclass(eq=False)
class _Sharing:
    """A group while tensors join it. `states` are those of its members, `is_input` whether one is the caller's."""

    members: list[str]
    bytes: int
    align: int
    start: int
    end: int
    place: Place | None
    states: list[str]
    is_input: bool

    def join(self, other: _Sharing) -> None:
        """Take in a group of one tensor."""
        self.members += other.members
        self.bytes, self.align = max(self.bytes, other.bytes), max(self.align, other.align)
        self.start, self.end = min(self.start, other.start), max(self.end, other.end)
        self.place = self.place or other.place
        self.states += other.states
        self.is_input = self.is_input or other.is_input

    def group(self) -> Group:
        return Group(tuple(self.members), self.bytes, self.align, self.start, self.end, self.place)


def groups(graph: Graph) -> tuple[list[Group], Graph]:
    """The groups of every tensor that is not a constant, and the graph without the calls that sharing made idle."""
    found = _alone(graph)
    assigned: dict[str, list[int]] = {}
    for i, node in enumerate(graph.nodes):
        if node.op.state == "assigns":
            assigned.setdefault(node.inputs[1], []).append(i)
    nodes: list[Node] = []
    for i, node in enumerate(graph.nodes):
        if node.op.is_view or node.op.state == "reads":
            source, out = graph.tensors[node.inputs[0]], graph.outs(node)[0]
            if source.is_const or not _can_alias(node, i, found, assigned):
                nodes.append(node)
                continue
            _join(found, source.name, out.name)
            nodes.append(replace(node, calls=()))
            continue
        if node.op.state == "assigns" and found.get(node.inputs[0]) is found[node.inputs[1]]:
            nodes.append(replace(node, calls=()))  # the state is assigned to itself
            continue
        victim = _overwritten(graph, node, i, found)
        if victim:
            _join(found, victim, node.outputs[0])
        nodes.append(node)
    unique = {id(s): s for s in found.values()}
    return [s.group() for s in unique.values()], replace(graph, nodes=tuple(nodes))


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


def _alone(graph: Graph) -> dict[str, _Sharing]:
    """Each tensor that is not a constant as a group of its own: from the node that writes it to the last that reads
    it."""
    made: dict[str, int] = {}
    used: dict[str, int] = {}
    for i, node in enumerate(graph.nodes):
        made |= dict.fromkeys(node.outputs, i)
        used |= dict.fromkeys(node.inputs, i)
    inputs = {n: i for i, n in reversed(list(enumerate(graph.inputs)))}
    outputs = {n: i for i, n in reversed(list(enumerate(graph.outputs)))}
    last = len(graph.nodes)
    found: dict[str, _Sharing] = {}
    for t in graph.tensors.values():
        if t.is_const:
            continue
        start = made.get(t.name, -1)
        end = max(start, used.get(t.name, -1))
        place: Place | None = None
        if t.state:
            start, end = -1, last
        elif t.name in inputs:
            place = Place("input", index=inputs[t.name])
        if t.name in outputs:
            place, end = Place("output", index=outputs[t.name]), last
        # A word-sized load of int8 data is what fast kernels do: buffers of 4 bytes and more start on a word.
        align = 4 if t.nbytes >= 4 else DTYPES[t.dtype].itemsize
        states = [t.name] if t.state else []
        found[t.name] = _Sharing([t.name], t.nbytes, align, start, end, place, states, t.name in inputs)
    return found


def _join(found: dict[str, _Sharing], name: str, out: str) -> None:
    """A node's output, which nothing shares yet, lies where `name` lies."""
    found[name].join(found[out])
    found[out] = found[name]


def _can_alias(node: Node, i: int, found: dict[str, _Sharing], assigned: dict[str, list[int]]) -> bool:
    """Whether a view's output can lie on its input. `assigned`: the nodes that assign to each state."""
    source, out = found[node.inputs[0]], found[node.outputs[0]]
    if source.place is not None and out.place is not None:
        return False
    if not source.states:
        # An output's buffer must not be written before its group begins; joining moves that begin to the source's.
        return not (out.place is not None and source.is_input)
    # The value read must survive until its last use: no assignment to the state before that, and no caller's buffer.
    later = (assigned.get(s, [])[bisect_right(assigned.get(s, []), i) :][:1] for s in source.states)
    return out.place is None and all(out.end <= k for ks in later for k in ks)


def _overwritten(graph: Graph, node: Node, i: int, found: dict[str, _Sharing]) -> str:
    """The input whose bytes the node's first output may take, or ""."""
    if not node.outputs or not node.op.inplace:
        return ""
    out = graph.tensors[node.outputs[0]]
    for k in node.op.inplace:
        name = node.inputs[k] if k < len(node.inputs) else ""
        if not name or name not in found:
            continue
        t, group, target = graph.tensors[name], found[name], found[out.name]
        dies = group.end == i and not group.states
        free = group.place is None and group.bytes <= target.bytes
        same = t.shape == out.shape and DTYPES[t.dtype].itemsize == DTYPES[out.dtype].itemsize
        if dies and free and same:
            return name
    return ""
