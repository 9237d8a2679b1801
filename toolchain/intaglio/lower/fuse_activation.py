"""RELU, RELU6 and RELU_N1_TO_1 move into the operator before them, where that operator clamps its result anyway."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node
from ..ops.relu import Relu

_COMMUTES = (
    "max_pool2d", "reshape", "transpose", "strided_slice", "resize_nearest_neighbor", "depth_to_space",
    "space_to_depth", "reduce_max", "reduce_min",
)  # fmt: skip
"""Operators that pick elements: clamping before them is clamping after them."""


def fuse_activation(graph: Graph) -> Graph:
    """For float graphs: the clamp becomes the producer's activation, so that the tensor between them is never rounded.

    The clamp also moves forward through operators that only pick elements (conv, max pool, relu: the usual order in
    PyTorch). It is not fused into a pool, whose output keeps its input's wider quantization. Exact.
    """
    nodes: list[Node] = []
    written: dict[str, int] = {}
    for node in graph.nodes:
        chain = _chain(node, nodes, written, graph)
        if not chain:
            written |= dict.fromkeys(node.outputs, len(nodes))
            nodes.append(node)
            continue
        assert isinstance(node.op, Relu)
        fused = replace(nodes[chain[-1]].op, activation=node.op.activation)  # type: ignore[call-arg]
        nodes[chain[-1]] = replace(nodes[chain[-1]], op=fused)
        del written[nodes[chain[0]].outputs[0]]
        nodes[chain[0]] = replace(nodes[chain[0]], outputs=node.outputs)
        written[node.outputs[0]] = chain[0]
    return graph.with_nodes(nodes)


def _chain(node: Node, nodes: list[Node], written: dict[str, int], graph: Graph) -> list[int]:
    """Positions in `nodes` (`written` says where each tensor's writer is) from the activation's producer back to the
    operator that can take it; empty where none can.

    Each of their results has one reader and is no output of the graph.
    """
    if not isinstance(node.op, Relu):
        return []
    chain: list[int] = []
    name = node.inputs[0]
    while name in written:
        at = written[name]
        before = nodes[at]
        if len(before.outputs) != 1 or name in graph.outputs or len(graph.consumers(name)) != 1:
            return []
        if graph.tensors[name].quant is not None:  # the model that came quantized rounds here
            return []
        chain.append(at)
        if getattr(before.op, "activation", "") == "none" and "pool" not in before.op.name:
            return chain
        if before.op.name not in _COMMUTES or getattr(before.op, "activation", "none") != "none":
            return []
        name = before.inputs[0]
    return []
