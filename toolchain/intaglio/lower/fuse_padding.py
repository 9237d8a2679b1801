"""A PAD with zeros in front of a convolution becomes the convolution's own padding: no copy, no buffer."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node
from ..ops.conv2d import Conv2D
from ..ops.depthwise_conv2d import DepthwiseConv2D
from ..ops.pad import Pad
from ..ops.window import Pads


def fuse_padding(graph: Graph) -> Graph:
    """Exact in float and in integers: a convolution takes what lies outside for zero. Unread PADs are left behind for
    dead_code."""
    nodes: list[Node] = []
    for node in graph.nodes:
        op = node.op
        before = graph.producer(node.inputs[0]) if node.inputs else None
        if before is not None and isinstance(op, Conv2D | DepthwiseConv2D) and isinstance(before.op, Pad):
            extra = _spatial(before.op)
            if extra is not None:
                pads = (op.pads[0] + extra[0], op.pads[1] + extra[1], op.pads[2] + extra[2], op.pads[3] + extra[3])
                node = replace(node, op=replace(op, pads=pads), inputs=(before.inputs[0], *node.inputs[1:]))
        nodes.append(node)
    return graph.with_nodes(nodes)


def _spatial(pad: Pad) -> Pads | None:
    """Zeros on height and width only, as (top, bottom, left, right)."""
    if len(pad.pads) != 4 or pad.value != 0 or any(pad.pads[0]) or any(pad.pads[3]):
        return None
    return (*pad.pads[1], *pad.pads[2])
