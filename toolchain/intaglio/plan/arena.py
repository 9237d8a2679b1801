"""Offsets in the arena: groups alive at the same time must not overlap, and the arena should be as small as it can.

This is dynamic storage allocation, NP-hard. Several greedy orders are tried (each group at the lowest offset that is
free during its life), then orders close to the best; the search stops at the lower bound, the most bytes alive at any
one node, which is met on most networks. Deterministic: no random numbers, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from .storage import Group

Offsets = dict[tuple[str, ...], int]
SEARCH_STEPS = 400
SEARCH_GROUPS = 500
"""Above this many groups the first orders have to do."""


def lower_bound(groups: Sequence[Group]) -> int:
    """No plan needs fewer bytes than are alive at one moment."""
    return max((alive(groups, g.start) for g in groups), default=0)


def alive(groups: Sequence[Group], at: int) -> int:
    """Bytes that are needed at node number `at`."""
    return sum(g.bytes for g in groups if g.start <= at <= g.end)


def fullest(groups: Sequence[Group], steps: int) -> int:
    """The node at which most bytes are alive."""
    return max(range(steps), key=lambda i: alive(groups, i), default=0)


def place(groups: Sequence[Group]) -> tuple[Offsets, int]:
    """Offsets by the groups' members, and the bytes of the arena."""
    if not groups:
        return {}, 0
    bound = lower_bound(groups)
    orders = [
        sorted(groups, key=lambda g: (-g.bytes, g.start, g.members)),
        sorted(groups, key=lambda g: (g.start, -g.bytes, g.members)),
        sorted(groups, key=lambda g: (-(g.end - g.start), -g.bytes, g.members)),
        sorted(groups, key=lambda g: (-g.bytes * (g.end - g.start + 1), g.members)),
        sorted(groups, key=lambda g: (-alive(groups, g.start), -g.bytes, g.members)),
    ]
    best, size, order = min(((*_first_fit(o), o) for o in orders), key=lambda r: r[1])
    # Move one group to the front at a time while that helps: the culprit is often one that was placed too late.
    steps = 0
    improved = True
    while improved and size > bound and steps < SEARCH_STEPS and len(groups) <= SEARCH_GROUPS:
        improved = False
        for g in list(order):
            trial = [g, *(o for o in order if o is not g)]
            offsets, bytes_ = _first_fit(trial)
            steps += 1
            if bytes_ < size:
                best, size, order, improved = offsets, bytes_, trial, True
                break
            if steps >= SEARCH_STEPS:
                break
    return best, size


def _first_fit(order: Sequence[Group]) -> tuple[Offsets, int]:
    placed: list[tuple[Group, int]] = []
    size = 0
    for g in order:
        offset = 0
        rivals = sorted((at, at + o.bytes) for o, at in placed if o.start <= g.end and g.start <= o.end)
        for low, high in rivals:
            if offset + g.bytes <= low:
                break
            offset = max(offset, -(-high // g.align) * g.align)
        placed.append((g, offset))
        size = max(size, offset + g.bytes)
    return {g.members: at for g, at in placed}, size
