"""The stack that a function can need, from the call graphs that GCC writes (-fcallgraph-info=su, GCC 10 and newer).

A painted stack shows only what one run has written. A frame may be larger than what is written of it, so the sum of the
frames along the deepest chain of calls is the figure to keep beside it. Functions of the C library have no frame here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FLAG = "-fcallgraph-info=su"
SINCE_GCC = 10
SUFFIX = ".ci"
_NODE = re.compile(r'^node: \{ title: "([^"]*)" label: "[^"]*?(?:\\n(\d+) bytes \(([^)]*)\))?"', re.M)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"', re.M)


def deepest(graphs: Iterable[str], root: str) -> int | None:
    """Bytes of all frames on the deepest chain of calls that begins with the function `root`, its own included.

    None where no bound is known: `root` is not there, a function calls itself or through a pointer, or a frame grows
    while it runs.
    """
    frames: dict[str, int | None] = {}
    calls: dict[str, set[str]] = {}
    for text in graphs:
        for title, size, kind in _NODE.findall(text):
            if size:
                frames[title] = None if kind == "dynamic" else int(size)
        for source, target in _EDGE.findall(text):
            calls.setdefault(source, set()).add(target)
    # GCC calls a weak function FILE:NAME where it is defined, as it does a static one, and NAME where it is called.
    weak: dict[str, set[str]] = {}
    for title in frames:
        weak.setdefault(title.rpartition(":")[2], set()).add(title)
    calls = {
        source: {found for t in targets for found in ({t} if t in frames else weak.get(t, {t}))}
        for source, targets in calls.items()
    }
    if root not in frames:
        return None
    sums: dict[str, int] = {}
    path: list[tuple[str, list[str]]] = [(root, sorted(calls.get(root, ())))]
    while path:  # depth first, without recursion: the graph is as deep as the code
        name, left = path[-1]
        if left:
            callee = left.pop()
            if any(callee == above for above, _ in path) or callee == "__indirect_call":
                return None
            if callee not in sums:
                path.append((callee, sorted(calls.get(callee, ()))))
            continue
        path.pop()
        frame = frames.get(name, 0)
        if frame is None:
            return None
        sums[name] = frame + max((sums[callee] for callee in calls.get(name, ())), default=0)
    return sums[root]
