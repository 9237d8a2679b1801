"""Padding that TFLite's SAME and VALID cannot say becomes a PAD in front of the operator.

PyTorch pads both sides alike where SAME puts the odd row last; the writer needs this, the C does not.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..graph import Graph, Node, Tensor, fresh
from ..ops.base import Refuse, need
from ..ops.conv2d import Conv2D
from ..ops.depthwise_conv2d import DepthwiseConv2D
from ..ops.float32 import LARGEST
from ..ops.max_pool2d import MaxPool2D
from ..ops.pad import Pad
from ..ops.window import Pads


def explicit_padding(graph: Graph) -> Graph:
    """Put a PAD (of zeros, or of the lowest value before MAX_POOL) before each window that TFLite cannot pad."""
    nodes: list[Node] = []
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, Conv2D | DepthwiseConv2D | MaxPool2D) or not any(op.pads) or _expressible(node, graph):
            nodes.append(node)
            continue
        x = need(graph.ins(node)[0])
        lowest = -LARGEST if x.dtype == "float32" else -math.inf
        bare = replace(node, op=replace(op, pads=(0, 0, 0, 0)))
        nodes += _padded(bare, x, op.pads, lowest if isinstance(op, MaxPool2D) else 0.0, tensors)
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
