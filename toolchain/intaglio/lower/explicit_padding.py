"""Padding that TFLite's SAME and VALID cannot say becomes a PAD in front of the operator.

PyTorch pads both sides alike where SAME puts the odd row last; the writer needs this, the C does not.
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node, Tensor, fresh
from ..ops.base import Refuse, need
from ..ops.float32 import LARGEST
from ..ops.pad import Pad
from ..ops.window import Pads


def explicit_padding(graph: Graph) -> Graph:
    """Put a PAD (of zeros, or of the lowest value before MAX_POOL) before each window that TFLite cannot pad."""
    nodes: list[Node] = []
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        found = node.op.bare()
        if found is None or _expressible(node, graph):
            nodes.append(node)
            continue
        op, pads, fill = found
        x = need(graph.ins(node)[0])
        fill = max(fill, -LARGEST) if x.dtype == "float32" else fill
        nodes += _padded(replace(node, op=op), x, pads, fill, tensors)
    return graph.with_nodes(nodes, tensors)


def _expressible(node: Node, graph: Graph) -> bool:
    try:
        node.op.to_tflite(node, graph)
    except Refuse:
        return False
    return True


def _padded(node: Node, x: Tensor, pads: Pads, fill: float, tensors: dict[str, Tensor]) -> list[Node]:
    name = fresh(f"{node.name}:padded", tensors)
    pad = Pad(((0, 0), (pads[0], pads[1]), (pads[2], pads[3]), (0, 0)), fill)
    tensors[name] = Tensor(name, pad.infer([x], [])[0][0], x.dtype, x.quant)
    return [Node(name, pad, (x.name,), (name,)), replace(node, inputs=(name, *node.inputs[1:]))]
