"""A PAD with zeros in front of a convolution becomes the convolution's own padding: no copy, no buffer. So does one of
-inf in front of a MAX_POOL, as PyTorch and ONNX models write it."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node
from ..ops.base import need
from ..ops.conv2d import Conv2D
from ..ops.depthwise_conv2d import DepthwiseConv2D
from ..ops.float32 import LARGEST
from ..ops.max_pool2d import MaxPool2D
from ..ops.pad import Pad
from ..ops.window import Pads, hw_of, out_hw


def fuse_padding(graph: Graph) -> Graph:
    """Exact in float and in integers: a convolution takes what lies outside for zero, and a pool leaves it out. Where a
    pool would have a window of nothing but padding, the PAD stays. Unread PADs are left behind for dead_code."""
    nodes: list[Node] = []
    for node in graph.nodes:
        op = node.op
        before = graph.producer(node.inputs[0]) if node.inputs else None
        if before is not None and isinstance(op, Conv2D | DepthwiseConv2D | MaxPool2D) and isinstance(before.op, Pad):
            padded = replace(op, pads=_sum(op.pads, before.op)) if _spatial(before, graph) else op
            fits = _sees_all(padded, before, graph) if isinstance(padded, MaxPool2D) else before.op.value == 0
            if padded is not op and fits:
                node = replace(node, op=padded, inputs=(before.inputs[0], *node.inputs[1:]))
        nodes.append(node)
    return graph.with_nodes(nodes)


def _sum(pads: Pads, pad: Pad) -> Pads:
    (top, bottom), (left, right) = pad.pads[1:3]
    return (pads[0] + top, pads[1] + bottom, pads[2] + left, pads[3] + right)


def _spatial(pad: Node, graph: Graph) -> bool:
    """Whether a PAD lets only height and width grow, and rounds nothing (in a model that comes quantized)."""
    assert isinstance(pad.op, Pad)
    x, padded = graph.tensors[pad.inputs[0]], graph.tensors[pad.outputs[0]]
    pads = pad.op.pads
    return len(pads) == 4 and not any(pads[0]) and not any(pads[3]) and padded.quant in (None, x.quant)


def _sees_all(pool: MaxPool2D, pad: Node, graph: Graph) -> bool:
    """Whether the pool gives the same without what the PAD puts there: nothing exceeds any float, and no window lies in
    the padding alone."""
    assert isinstance(pad.op, Pad)
    x = need(graph.ins(pad)[0])
    if x.dtype != "float32" or not pad.op.value <= -LARGEST:
        return False
    for n, out, k, s, top in zip(
        hw_of(x.shape), out_hw(hw_of(x.shape), pool.kernel, pool.stride, (1, 1), pool.pads), pool.kernel, pool.stride,
        pool.pads[::2], strict=True,
    ):  # fmt: skip
        if top >= k or (out - 1) * s - top >= n:
            return False
    return True
