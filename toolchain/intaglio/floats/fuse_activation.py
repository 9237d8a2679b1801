"""RELU, RELU6 and RELU_N1_TO_1 move into the operator before them, where that operator clamps its result anyway."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node


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
        fused = replace(nodes[chain[-1]].op, activation=node.op.clamp)  # type: ignore[call-arg]
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
    if not node.op.is_clamp:
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
        if before.op.clamp != "none":
            return []
        if before.op.fuses_activation:
            return chain
        if not before.op.commutes_with_clamp:
            return []
        name = before.inputs[0]
    return []
