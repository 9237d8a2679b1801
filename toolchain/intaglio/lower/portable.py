"""A graph as an exported file holds it: what the runtimes that are to run it lack is written as what they have."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import UnsupportedError
from ..graph import Graph, Node
from ..ops.base import Refuse
from ..ops.portable import RUNTIMES, Runtime
from .explicit_padding import explicit_padding
from .explicit_silu import explicit_silu


def portable(graph: Graph, runtimes: Collection[Runtime] = RUNTIMES) -> tuple[Graph, tuple[str, ...]]:
    """The graph with every node as each of `runtimes` computes it, byte for byte in integers, and what was written
    otherwise than it is and why, one sentence a node. (Each operator says it itself: `Op.portable`.)

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
        remedy = "" if len(set(runtimes)) == 1 else "For one runtime alone: --for tflm, or --for litert"
        raise UnsupportedError(graph.name, problems, remedy)
    return graph.with_nodes(nodes, tensors), tuple(notes)
