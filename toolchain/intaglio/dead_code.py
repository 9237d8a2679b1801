"""Nodes that nothing depends on are dropped. Assignments to state always count as needed."""

from __future__ import annotations

from .graph import Graph, Node


def dead_code(graph: Graph) -> Graph:
    """Keep the nodes from which an output or a state assignment can be reached."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if not node.outputs or needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return graph.with_nodes(reversed(kept))
