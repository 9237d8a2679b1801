"""Nodes that change nothing are removed: reshapes to the same shape, reshapes of reshapes, and their like."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node


def remove_identities(graph: Graph) -> Graph:
    """Readers of such a node read its input instead. A node that writes a graph output stays. Exact."""
    same: dict[str, str] = {}
    reshaped: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if not same.keys().isdisjoint(node.inputs):
            node = replace(node, inputs=tuple(same.get(n, n) for n in node.inputs))
        if node.op.is_view:
            # A reshape of a reshape is one reshape of the first input; dead_code drops the one in between.
            first = reshaped.get(node.inputs[0], node.inputs[0])
            if first != node.inputs[0] and graph.tensors[node.inputs[0]].quant in (None, graph.tensors[first].quant):
                node = replace(node, inputs=(first,))
            reshaped[node.outputs[0]] = node.inputs[0]
        if node.op.is_identity(graph.ins(node), graph.outs(node)) and node.outputs[0] not in graph.outputs:
            same[node.outputs[0]] = node.inputs[0]
        else:
            nodes.append(node)
    return graph.with_nodes(nodes)
