"""A graph as an exported file holds it: operators that its runtimes lack are written as operators that they have."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import UnsupportedError
from ..graph import Graph, Node
from ..ops.base import Refuse
from ..ops.portable import RUNTIMES, Runtime
from .explicit_padding import explicit_padding
from .explicit_silu import explicit_silu


def portable(graph: Graph, runtimes: Collection[Runtime] = RUNTIMES) -> tuple[Graph, tuple[str, ...]]:
    """The graph rewritten so that each of `runtimes` computes it, in integers byte for byte; and a sentence for each
    node that was rewritten, which says why. (Each operator says it itself: `Op.portable`.)

    Raises: UnsupportedError naming every node for which there is no such form, and the runtime.
    """
    graph = explicit_silu(explicit_padding(graph))
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    notes: list[str] = []
    problems: list[str] = []
    for node in graph.nodes:
        try:
            form = node.op.portable(node, graph, runtimes)
        except Refuse as e:
            problems.append(f"{node.op.name} ({node.name}): {e}")
            continue
        nodes += (node,) if form is None else form.nodes
        if form is not None:
            tensors.update((t.name, t) for t in form.tensors)
            notes.append(f"{node.op.name} ({node.name}): {form.why}")
    if problems:
        fine = [f"--for {r}" for r in RUNTIMES if len(set(runtimes)) > 1 and _has_form(graph, r)]
        raise UnsupportedError(graph.name, problems, f"For one runtime alone: {' or '.join(fine)}" if fine else "")
    return graph.with_nodes(nodes, tensors), tuple(notes)


def unlike(graph: Graph) -> tuple[str, ...]:
    """The names of the nodes that a runtime does not compute as they are, whether they have another form or not."""
    found: list[str] = []
    graph = explicit_silu(explicit_padding(graph))
    for node in graph.nodes:
        try:
            fine = node.op.portable(node, graph, RUNTIMES) is None
        except Refuse:
            fine = False
        found += [] if fine else [node.name]
    return tuple(found)


def _has_form(graph: Graph, runtime: Runtime) -> bool:
    try:
        portable(graph, (runtime,))
    except UnsupportedError:
        return False
    return True
