"""Padding that TFLite's SAME and VALID cannot say becomes a PAD in front of the operator.

PyTorch pads both sides alike where SAME puts the odd row last; the writer needs this, the C does not.
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node, Tensor
from ..ops.base import Refuse, need


def explicit_padding(graph: Graph) -> Graph:
    """Put a PAD (with the zero point, or the lowest value before MAX_POOL) before each window TFLite cannot pad."""
    nodes: list[Node] = []
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        pads = getattr(node.op, "pads", None)
        fill = _fill(node)
        if pads is None or fill is None or not any(pads) or _expressible(node, graph):
            nodes.append(node)
            continue
        nodes += _padded(node, need(graph.ins(node)[0]), pads, fill, tensors)
    return graph.with_nodes(nodes, tensors)


def _fill(node: Node) -> str | None:
    """What the operator takes for a padded element; None where padding is not a matter of a constant."""
    return {"conv2d": "zero", "depthwise_conv2d": "zero", "max_pool2d": "lowest"}.get(node.op.name)


def _expressible(node: Node, graph: Graph) -> bool:
    try:
        node.op.to_tflite(node, graph)
    except Refuse:
        return False
    return True


def _padded(
    node: Node, x: Tensor, pads: tuple[int, int, int, int], fill: str, tensors: dict[str, Tensor]
) -> list[Node]:
    from ..ops.pad import Pad

    padded_name = f"{node.name}:padded"
    low = -128 if x.dtype == "int8" else float("-inf")
    value = low if fill == "lowest" else (x.zero_point if x.quant else 0)
    op = Pad(((0, 0), (pads[0], pads[1]), (pads[2], pads[3]), (0, 0)), value)
    shape = (x.shape[0], x.shape[1] + pads[0] + pads[1], x.shape[2] + pads[2] + pads[3], x.shape[3])
    tensors[padded_name] = Tensor(padded_name, shape, x.dtype, x.quant)
    bare = replace(node.op, pads=(0, 0, 0, 0))  # type: ignore[call-arg]
    return [
        Node(padded_name, op, (x.name,), (padded_name,)),
        replace(node, op=bare, inputs=(padded_name, *node.inputs[1:])),
    ]
