"""The arena planner: nothing alive at the same time overlaps, and small cases are planned as small as they can be."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.plan.arena import lower_bound, place
from intaglio.plan.storage import Group


@st.composite
def arena_groups(draw: st.DrawFn) -> list[Group]:
    n = draw(st.integers(1, 14))
    found = []
    for i in range(n):
        start = draw(st.integers(-1, 20))
        size = draw(st.integers(1, 5000))
        align = 4 if size >= 4 else 1
        found.append(Group((f"t{i}",), size, align, start, start + draw(st.integers(0, 8))))
    return found


@settings(max_examples=300, deadline=None)
@given(arena_groups())
def test_live_groups_never_overlap(groups: list[Group]) -> None:
    offsets, size = place(groups)
    assert size >= lower_bound(groups)
    for g in groups:
        at = offsets[g.members]
        assert at % g.align == 0
        assert 0 <= at <= size - g.bytes
        for o in groups:
            if o is not g and o.start <= g.end and g.start <= o.end:
                other = offsets[o.members]
                assert at + g.bytes <= other or other + o.bytes <= at
    # The arena constant is exact: some group ends on its last byte.
    assert any(offsets[g.members] + g.bytes == size for g in groups)


def test_a_chain_needs_two_neighbours_at_most() -> None:
    sizes = [100, 400, 200, 800, 40]
    chain = [Group((f"t{i}",), s, 4, i, i + 1) for i, s in enumerate(sizes)]
    assert place(chain)[1] == max(a + b for a, b in itertools.pairwise(sizes)) == lower_bound(chain)


def test_plans_do_not_depend_on_the_order_of_the_groups() -> None:
    groups = [Group((f"t{i}",), 64 * (i % 5 + 1), 4, i % 7, i % 7 + i % 3) for i in range(12)]
    assert place(groups) == place(list(reversed(groups)))
