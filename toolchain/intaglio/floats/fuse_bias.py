"""A constant vector that is added to a layer with weights becomes the layer's bias: MatMul and Add are one layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Graph, Node, Tensor, constant
from ..ops.add import Add


def fuse_bias(graph: Graph) -> Graph:
    """For float graphs. The layer has no activation yet and nothing else reads its result. Values change by float
    rounding only."""
    tensors = dict(graph.tensors)
    written = {n: at for at, node in enumerate(graph.nodes) for n in node.outputs}
    nodes: list[Node | None] = list(graph.nodes)
    for at, node in enumerate(graph.nodes):
        for k in (0, 1) if isinstance(node.op, Add) else ():
            source, vector = node.inputs[k], tensors[node.inputs[1 - k]]
            before = nodes[written[source]] if source in written else None
            if before is None or not _fits(before, vector, source, graph, tensors):
                continue
            nodes[written[source]] = None
            nodes[at] = _biased(before, node, vector, tensors)
            break
    return graph.with_nodes([n for n in nodes if n is not None], tensors)


def _fits(before: Node, vector: Tensor, source: str, graph: Graph, tensors: dict[str, Tensor]) -> bool:
    """Whether `vector` holds one number an output channel, and the layer's own result is read nowhere else."""
    x = tensors[source]
    channels = x.shape[-1]
    spread = len(vector.shape) <= len(x.shape) and vector.size == channels and vector.shape[-1:] == (channels,)
    alone = len(graph.consumers(source)) == 1 and source not in graph.outputs and x.quant is None
    parameters = [tensors[n] for n in before.inputs[1:] if n]
    return (
        before.op.weighted
        and before.op.clamp == "none"
        and alone
        and vector.is_const
        and (spread or (vector.size == 1 and len(vector.shape) <= len(x.shape)))
        and all(t.is_const and t.dtype == "float32" for t in (vector, *parameters))
    )


def _biased(before: Node, add: Node, vector: Tensor, tensors: dict[str, Tensor]) -> Node:
    """The layer in the ADD's place, its bias under a new name: others may share the old one."""
    channels = tensors[add.outputs[0]].shape[-1]
    bias = np.broadcast_to(np.asarray(vector.data, np.float64).ravel(), (channels,))
    if len(before.inputs) > 2 and before.inputs[2]:
        bias = bias + np.asarray(tensors[before.inputs[2]].data, np.float64)
    name = f"{before.inputs[1]}:bias:{add.name}"
    tensors[name] = constant(name, bias.astype(np.float32))
    op = replace(before.op, activation=add.op.clamp)  # type: ignore[call-arg]
    return replace(before, name=add.name, op=op, inputs=(*before.inputs[:2], name), outputs=add.outputs)
