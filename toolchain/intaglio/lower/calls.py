"""The last lowering pass: every node gets the C calls that compute it, with all its fixed-point constants."""

from __future__ import annotations

from dataclasses import replace

from ..errors import UnsupportedError
from ..graph import Graph
from ..ops.base import NOT_QUANTIZED


def require_integer(graph: Graph) -> Graph:
    """Raise UnsupportedError listing every node that cannot be executed in integers, and why."""
    problems = [
        f"{n.op.name} ({n.name}): {reason}" for n in graph.nodes for reason in n.op.check(graph.ins(n), graph.outs(n))
    ]
    if problems:
        remedy = ""
        if any(problem.endswith(NOT_QUANTIZED) for problem in problems):
            remedy = "A float model is quantized with --calibrate DATA.npz"
        raise UnsupportedError(graph.name, problems, remedy)
    return graph


def attach_calls(graph: Graph) -> Graph:
    """Ask each operator for its calls."""
    nodes = []
    for node in graph.nodes:
        calls = node.op.lower(node, graph)
        nodes.append(replace(node, calls=calls if isinstance(calls, tuple) else (calls,)))
    return graph.with_nodes(nodes)
