"""Every node gets the C calls of the kernel that computes it, with all its fixed-point constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .. import kernels
from ..errors import GraphError
from ..graph import Graph, Node
from ..kernels.base import Kernel
from ..targets import Target


def with_calls(graph: Graph, target: Target, chosen: Mapping[str, Kernel] | None = None) -> Graph:
    """Give each node its C calls: those of its kernel in `chosen`, by its first output, or of the first kernel that
    fits. Raises GraphError where none fits."""
    nodes = []
    for node in graph.nodes:
        kernel = (chosen or {}).get(first_output(node)) or _first(node, graph, target)
        nodes.append(replace(node, calls=kernel.calls(node, graph, target)))
    return graph.with_nodes(nodes)


def first_output(node: Node) -> str:
    """The name that no other node has; "" for a node that only writes a variable."""
    return next(iter(node.outputs), "")


def _first(node: Node, graph: Graph, target: Target) -> Kernel:
    fitting = kernels.fitting(node, graph, target)
    if not fitting:
        found = f"has no kernel for weights held as {_encodings(node, graph)}"
        raise GraphError(f"node {node.name} ({node.op.name})", found, "another encoding")
    return fitting[0]


def _encodings(node: Node, graph: Graph) -> str:
    return ", ".join(t.encoding or "they are" for t in graph.ins(node) if t is not None and t.is_const)
