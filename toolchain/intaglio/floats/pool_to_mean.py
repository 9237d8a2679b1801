"""A global AVERAGE_POOL_2D becomes a MEAN: the same number, but quantized with a scale of its own.

TFLM's pools keep the scale of their input, and a mean over a map is small beside the peaks of the map: few of the 256
levels are left for it. On ic_float this layer lost more than any other (benchmarks/results/ptq.md).
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node
from ..ops.average_pool2d import AveragePool2D
from ..ops.mean import Mean


def pool_to_mean(graph: Graph) -> Graph:
    """For float graphs: every average pool over the whole of its input, without padding or activation."""
    return graph.with_nodes([_mean(n) if _is_global(n, graph) else n for n in graph.nodes])


def _mean(node: Node) -> Node:
    return replace(node, op=Mean((1, 2), True))


def _is_global(node: Node, graph: Graph) -> bool:
    op = node.op
    if not isinstance(op, AveragePool2D) or op.activation != "none" or any(op.pads):
        return False
    return op.kernel == graph.tensors[node.inputs[0]].shape[1:3] != (1, 1)
