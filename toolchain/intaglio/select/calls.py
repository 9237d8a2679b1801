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
    """Ask the kernel of each node for its calls: the one that was chosen for it, by its first output, or the first
    that fits. Raises GraphError where none does."""
    nodes = []
    for node in graph.nodes:
        kernel = (chosen or {}).get(first_output(node)) or _first(node, graph, target)
        nodes.append(replace(node, calls=kernel.calls(node, graph, target)))
    return graph.with_nodes(nodes)


def first_output(node: Node) -> str:
    """What tells nodes apart, unlike their names; "" for one that writes a variable alone."""
    return next(iter(node.outputs), "")


def _first(node: Node, graph: Graph, target: Target) -> Kernel:
    fitting = kernels.fitting(node, graph, target)
    if not fitting:
        found = f"has no kernel for weights held as {_encodings(node, graph)}"
        raise GraphError(f"node {node.name} ({node.op.name})", found, "another encoding")
    return fitting[0]


def _encodings(node: Node, graph: Graph) -> str:
    return ", ".join(t.encoding or "they are" for t in graph.ins(node) if t is not None and t.is_const)
