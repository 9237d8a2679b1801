"""The last lowering pass: every node gets the C calls that compute it, with all its fixed-point constants."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph


def attach_calls(graph: Graph) -> Graph:
    """Ask each operator for its calls."""
    nodes = []
    for node in graph.nodes:
        calls = node.op.lower(node, graph)
        nodes.append(replace(node, calls=calls if isinstance(calls, tuple) else (calls,)))
    return graph.with_nodes(nodes)
