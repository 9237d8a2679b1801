"""Offsets in the arena: groups alive at the same time must not overlap, and the arena should be as small as it can.

This is dynamic storage allocation, NP-hard. Several greedy orders are tried (each group at the lowest offset that is
free during its life), then orders close to the best; the search stops at the lower bound, the most bytes alive at any
one node, which is met on most networks. Deterministic: no random numbers, no clock. The work is bounded: the more
groups there are, the fewer orders are tried, so that a file with many nodes is planned in seconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, pairwise

from .storage import Group, Part

Offsets = dict[tuple[str, ...], int]
SEARCH_STEPS = 400
WORK = 2_000_000
"""About how many pairs of groups one plan looks at, which takes a few seconds."""


def lower_bound(groups: Sequence[Group]) -> int:
    """No plan needs fewer bytes than are alive at one moment."""
    return max(alive(groups, max((g.end for g in groups), default=-1) + 1))


def alive(groups: Sequence[Group], steps: int) -> list[int]:
    """Bytes that are needed before the first node, then at each of `steps` nodes."""
    change = [0] * (steps + 2)
    for g in groups:
        for start, end, used in _usage(g):
            change[min(start + 1, steps + 1)] += used
            change[min(end + 2, steps + 1)] -= used
    return list(accumulate(change[:-1]))


def _usage(g: Group) -> list[tuple[int, int, int]]:
    """(first node, last node, bytes in use) of a group, one after another."""
    if len(g.footprint) == 1:
        return [(g.start, g.end, g.bytes)]
    edges = sorted({p.start for p in g.parts} | {p.end + 1 for p in g.parts})
    found = []
    for start, after in pairwise(edges):
        used, reached = 0, 0
        for low, high in sorted((p.offset, p.offset + p.bytes) for p in g.parts if p.start <= start <= p.end):
            used += max(0, high - max(low, reached))
            reached = max(reached, high)
        found.append((start, after - 1, used))
    return found


def fullest(groups: Sequence[Group], steps: int) -> int:
    """The node at which most bytes are alive."""
    needed = alive(groups, steps)[1:]
    return max(range(steps), key=needed.__getitem__, default=0)


def place(groups: Sequence[Group]) -> tuple[Offsets, int]:
    """Offsets by the groups' members, and the bytes of the arena."""
    if not groups:
        return {}, 0
    tries = WORK // (_pairs(groups) + 8 * len(groups))
    if tries == 0:
        return _by_size(groups)
    needed = alive(groups, max(g.end for g in groups) + 1)
    bound = max(needed)
    orders = [
        sorted(groups, key=lambda g: (-g.bytes, g.start, g.members)),
        sorted(groups, key=lambda g: (g.start, -g.bytes, g.members)),
        sorted(groups, key=lambda g: (-(g.end - g.start), -g.bytes, g.members)),
        sorted(groups, key=lambda g: (-g.bytes * (g.end - g.start + 1), g.members)),
        sorted(groups, key=lambda g: (-needed[g.start + 1], -g.bytes, g.members)),
    ]
    best, size, order = min(((*_first_fit(o), o) for o in orders[:tries]), key=lambda r: r[1])
    # Move one group to the front at a time while that helps: the culprit is often one that was placed too late.
    steps, most = 0, min(SEARCH_STEPS, tries - len(orders))
    improved = True
    while improved and size > bound and steps < most:
        improved = False
        for g in list(order):
            trial = [g, *(o for o in order if o is not g)]
            offsets, bytes_ = _first_fit(trial)
            steps += 1
            if bytes_ < size:
                best, size, order, improved = offsets, bytes_, trial, True
                break
            if steps >= most:
                break
    return best, size


def _pairs(groups: Sequence[Group]) -> int:
    """How many pairs are alive at the same time."""
    starts, ends = sorted(g.start for g in groups), sorted(g.end for g in groups)
    met = sum(bisect_right(starts, g.end) - bisect_left(ends, g.start) for g in groups)
    return (met - len(groups)) // 2


class _Placed:
    """Groups that have their offsets, found by when they are alive: in a time that grows with those found.

    `stabbed` is a segment tree over nodes: each life is kept at the few places that together cover it.
    """

    def __init__(self, last: int) -> None:
        self.width = 1 << (last + 2).bit_length()
        self.stabbed: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        self.starts: list[tuple[int, int, int]] = []

    def add(self, part: Part, at: int) -> None:
        span = (at, at + part.bytes)
        insort(self.starts, (part.start, *span))
        left, right = part.start + 1 + self.width, part.end + 2 + self.width
        while left < right:
            if left & 1:
                self.stabbed[left].append(span)
                left += 1
            if right & 1:
                right -= 1
                self.stabbed[right].append(span)
            left, right = left >> 1, right >> 1

    def rivals(self, part: Part) -> list[tuple[int, int]]:
        """The bytes, first and past the last, of what is alive with `part`: at its start, or beginning during its
        life."""
        first, last = bisect_left(self.starts, (part.start + 1,)), bisect_left(self.starts, (part.end + 1,))
        found = [(low, high) for _, low, high in self.starts[first:last]]
        at = part.start + 1 + self.width
        while at:
            found += self.stabbed.get(at, ())
            at >>= 1
        return found


def _first_fit(order: Sequence[Group]) -> tuple[Offsets, int]:
    placed = _Placed(max(g.end for g in order))
    offsets: Offsets = {}
    size = 0
    for g in order:
        # The group cannot begin between the two numbers of a pair: one of its parts would lie on a rival.
        barred = sorted(
            (low - p.offset - p.bytes, high - p.offset) for p in g.footprint for low, high in placed.rivals(p)
        )
        offset = 0
        for last, next_ in barred:
            if offset <= last:
                break
            offset = max(offset, -(-next_ // g.align) * g.align)
        for p in g.footprint:
            placed.add(p, offset + p.offset)
        offsets[g.members] = offset
        size = max(size, offset + g.bytes)
    return offsets, size


def _by_size(groups: Sequence[Group]) -> tuple[Offsets, int]:
    """For thousands of groups alive at once: each takes the place of a dead one of the same size, else a new one."""
    offsets: Offsets = {}
    free: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    dying = sorted(groups, key=lambda g: (g.end, g.members))
    dead = size = 0
    for g in sorted(groups, key=lambda g: (g.start, -g.bytes, g.members)):
        while dying[dead].end < g.start:
            free[dying[dead].bytes, dying[dead].align].append(offsets[dying[dead].members])
            dead += 1
        if free[g.bytes, g.align]:
            offsets[g.members] = free[g.bytes, g.align].pop()
        else:
            offsets[g.members] = -(-size // g.align) * g.align
            size = offsets[g.members] + g.bytes
    return offsets, size
