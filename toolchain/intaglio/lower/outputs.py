"""Give each graph output a tensor of its own that a node computes, so that a kernel or a copy can write it there.

An output may name an input, a constant, a state, or the same tensor twice: legal in a file, impossible in memory.
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node, fresh
from ..ops.reshape import Reshape


def own_outputs(graph: Graph) -> Graph:
    """Insert a copy (a RESHAPE to the same shape) where an output is not the result of a node or is listed twice."""
    tensors = dict(graph.tensors)
    nodes = list(graph.nodes)
    outputs: list[str] = []
    for name in graph.outputs:
        if name not in outputs and graph.producer(name) is not None:
            outputs.append(name)
            continue
        t = tensors[name]
        if t.is_const and t.quant is not None and t.quant.bits < 8:
            # Bytes are copied, and an output has one a value: it needs the constant unpacked.
            name = fresh(f"{name}:int8", tensors)
            tensors[name] = t = replace(t, name=name, quant=replace(t.quant, bits=8), encoding="")
        copy = fresh(f"{name}:out{len(outputs)}", tensors)
        tensors[copy] = replace(t, name=copy, data=None, state=False)
        nodes.append(Node(copy, Reshape(t.shape), (name,), (copy,)))
        outputs.append(copy)
    return replace(graph, outputs=tuple(outputs)).with_nodes(nodes, tensors)
