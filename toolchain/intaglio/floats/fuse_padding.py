"""A PAD with zeros in front of a convolution becomes the convolution's own padding: no copy, no buffer. So does one of
-inf in front of a MAX_POOL, as PyTorch and ONNX models write it."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node
from ..ops.base import need


def fuse_padding(graph: Graph) -> Graph:
    """Exact in float and in integers: a convolution takes what lies outside for zero, and a pool leaves it out. Where a
    pool would have a window of nothing but padding, the PAD stays. Unread PADs are left behind for dead_code."""
    nodes: list[Node] = []
    for node in graph.nodes:
        before = graph.producer(node.inputs[0]) if node.inputs else None
        border = None if before is None else before.op.border
        if before is not None and border is not None and _rounds_nothing(before, graph):
            op = node.op.padded(*border, need(graph.ins(before)[0]))
            node = node if op is None else replace(node, op=op, inputs=(before.inputs[0], *node.inputs[1:]))
        nodes.append(node)
    return graph.with_nodes(nodes)


def _rounds_nothing(pad: Node, graph: Graph) -> bool:
    """In a model that comes quantized."""
    x, padded = graph.tensors[pad.inputs[0]], graph.tensors[pad.outputs[0]]
    return padded.quant in (None, x.quant)
