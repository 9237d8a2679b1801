"""SILU, which TFLite lacks, becomes LOGISTIC and MUL: for the writer; the C computes it in one step."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node, fresh
from ..ops.logistic import Logistic
from ..ops.mul import Mul
from ..ops.silu import Silu


def explicit_silu(graph: Graph) -> Graph:
    """Every float32 SILU as x * LOGISTIC(x). In int8 two operators round twice: there it stays, and is not exported."""
    nodes: list[Node] = []
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        # An ASSIGN_VARIABLE has no output.
        if not isinstance(node.op, Silu) or tensors[node.outputs[0]].dtype != "float32":
            nodes.append(node)
            continue
        out = tensors[node.outputs[0]]
        gate = fresh(f"{out.name}:gate", tensors)
        tensors[gate] = replace(out, name=gate)
        nodes.append(Node(gate, Logistic(), node.inputs, (gate,)))
        nodes.append(replace(node, op=Mul(), inputs=(node.inputs[0], gate)))
    return graph.with_nodes(nodes, tensors)
