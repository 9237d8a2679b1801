"""Which tensors share bytes: views lie on their input, and a kernel's output may lie on an input that dies there.

Tensors that share bytes form a group, in which each has an offset: mostly 0, but an output may overlap its input in
part (`Overlap` in ops/base.py). A group lives in the arena, or in the caller's input or output buffer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass, replace

from ..graph import DTYPES, Graph, Node, Place, fresh
from ..ops.base import Overlap, Scratch

WORD = 4
"""Bytes. Fast kernels load int8 data a word at a time, so buffers of at least so many bytes start on a word."""


@dataclass(frozen=True)
class Part:
    """Bytes of a group that are in use for a while: `offset` from its first byte, in node numbers from `start` to
    `end`."""

    offset: int
    bytes: int
    start: int
    end: int


@dataclass(frozen=True)
class Group:
    """Tensors that share bytes, in node numbers: written at `start` (-1: before the first node), last used at `end`.

    A scratch is a group of its own. `place` is None for the arena. `offsets` are those of the members, all 0 if there
    are none; `parts` says which of the bytes are in use when, all of them always if there are none.
    """

    members: tuple[str, ...]
    bytes: int
    align: int
    start: int
    end: int
    place: Place | None = None
    offsets: tuple[int, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def footprint(self) -> tuple[Part, ...]:
        return self.parts or (Part(0, self.bytes, self.start, self.end),)

    def at(self, base: int) -> dict[str, int]:
        """Where the members lie if the group's first byte lies at `base`."""
        offsets = self.offsets or (0,) * len(self.members)
        return {name: base + offset for name, offset in zip(self.members, offsets, strict=True)}


@dataclass(eq=False)
class _Sharing:
    """A group while tensors join it. `at` has their offsets, which may be negative until the end. `states` are those
    of its members, `is_input` whether one is the caller's."""

    at: dict[str, int]
    align: int
    parts: list[Part]
    place: Place | None
    states: list[str]
    is_input: bool

    @property
    def start(self) -> int:
        return min(p.start for p in self.parts)

    @property
    def end(self) -> int:
        return max(p.end for p in self.parts)

    @property
    def bytes(self) -> int:
        return max(p.offset + p.bytes for p in self.parts) - min(p.offset for p in self.parts)

    def join(self, other: _Sharing, offset: int) -> None:
        """Take in a group of one tensor, which lies at this offset."""
        [(name, _)], [part] = other.at.items(), other.parts
        self.at[name] = offset
        same = next((p for p in self.parts if (p.offset, p.bytes) == (offset, part.bytes)), None)
        if same is not None:
            self.parts.remove(same)
            part = replace(part, start=min(part.start, same.start), end=max(part.end, same.end))
        self.parts.append(replace(part, offset=offset))
        self.align = max(self.align, other.align)
        self.place = self.place or other.place
        self.states += other.states
        self.is_input = self.is_input or other.is_input

    def group(self) -> Group:
        low = min(p.offset for p in self.parts)
        parts = tuple(replace(p, offset=p.offset - low) for p in self.parts)
        offsets = tuple(offset - low for offset in self.at.values())
        several = len(parts) > 1
        return Group(
            tuple(self.at), self.bytes, self.align, self.start, self.end, self.place,
            offsets if any(offsets) else (), parts if several else (),
        )  # fmt: skip


def groups(graph: Graph, lagging: Collection[int] = ()) -> tuple[list[Group], Graph]:
    """The groups of every tensor that is not a constant, and the graph without the calls that sharing made idle.

    An output lies exactly on an input wherever its kernel allows that. Overlaps in part, and overlaps that make a group
    live longer, happen only at the nodes numbered in `lagging` (see `lags`).
    """
    return _shared(graph, lagging)[:2]


def lags(graph: Graph) -> list[int]:
    """The numbers of the nodes whose output could overlap an input in part."""
    return _shared(graph, ())[2]


def _shared(graph: Graph, lagging: Collection[int]) -> tuple[list[Group], Graph, list[int]]:
    found = _alone(graph)
    assigned: dict[str, list[int]] = {}
    for i, node in enumerate(graph.nodes):
        if node.op.state == "assigns":
            assigned.setdefault(node.inputs[1], []).append(i)
    nodes: list[Node] = []
    could: list[int] = []
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
        overlaps = _possible(node, i, found)
        exact = [o for o in overlaps if o.lag == 0 and found[o.tensor].bytes <= graph.outs(node)[0].nbytes]
        partial = [o for o in overlaps if found[node.outputs[0]].place is None]
        if exact:
            _join(found, exact[0].tensor, node.outputs[0])
        elif partial and i in lagging:
            _join(found, partial[0].tensor, node.outputs[0], partial[0].lag)
        elif partial:
            could.append(i)
        nodes.append(node)
    unique = {id(s): s for s in found.values()}
    return [s.group() for s in unique.values()], replace(graph, nodes=tuple(nodes)), could


def scratch_groups(graph: Graph) -> list[Group]:
    """A group for each scratch of a call, alive during its node alone."""
    return [
        Group((scratch_member(graph, i, c, k),), a.nbytes, WORD if a.nbytes >= WORD else DTYPES[a.dtype].itemsize, i, i)
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
        align = WORD if t.nbytes >= WORD else DTYPES[t.dtype].itemsize
        states = [t.name] if t.state else []
        found[t.name] = _Sharing({t.name: 0}, align, [Part(0, t.nbytes, start, end)], place, states, t.name in inputs)
    return found


def _join(found: dict[str, _Sharing], name: str, out: str, lag: int = 0) -> None:
    """A node's output, which nothing shares yet, lies where `name` lies, or begins `lag` bytes before, on a word."""
    group = found[name]
    group.join(found[out], group.at[name] - -(-lag // WORD) * WORD)
    found[out] = group


def _can_alias(node: Node, i: int, found: dict[str, _Sharing], assigned: dict[str, list[int]]) -> bool:
    """Whether a view's output can lie on its input. `assigned`: the nodes that assign to each state."""
    source, out = found[node.inputs[0]], found[node.outputs[0]]
    if out.place is not None and (source.place is not None or source.bytes > out.bytes):
        return False  # what overlaps the source in part would lie outside the caller's buffer
    if not source.states:
        # An output's buffer must not be written before its group begins; joining moves that begin to the source's.
        return not (out.place is not None and source.is_input)
    # The value read must survive until its last use: no assignment to the state before that, and no caller's buffer.
    later = (assigned.get(s, [])[bisect_right(assigned.get(s, []), i) :][:1] for s in source.states)
    return out.place is None and all(out.end <= k for ks in later for k in ks)


def _possible(node: Node, i: int, found: dict[str, _Sharing]) -> list[Overlap]:
    """The overlaps of a node's first output that its kernel allows, with inputs that die here."""
    if len(node.calls) != 1:
        return []  # a later call would read what an earlier one has overwritten
    return [
        o
        for o in node.calls[0].overlaps
        if o.tensor in found and (group := found[o.tensor]).end == i and not group.states and group.place is None
    ]
