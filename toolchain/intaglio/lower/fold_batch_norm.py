"""Batch normalization disappears: into the weights of the layer before it, or into a MUL and an ADD.

Jacob et al., CVPR 2018, section 3.2. Weights are scaled in double and rounded to float32 once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Array, Graph, Node, Tensor, constant
from ..ops.add import Add
from ..ops.base import need
from ..ops.batch_norm import BatchNorm
from ..ops.mul import Mul

OUT_AXIS = {"conv2d": 0, "depthwise_conv2d": 3, "fully_connected": 0, "transpose_conv": 0}
"""The output-channel dimension of the weights of each operator that has them."""


def fold_batch_norm(graph: Graph) -> Graph:
    """Replace every BatchNorm of a float graph. Values change by float rounding only."""
    tensors = dict(graph.tensors)
    nodes = list(graph.nodes)
    for bn in [n for n in graph.nodes if isinstance(n.op, BatchNorm)]:
        current = replace(graph, tensors=tensors).with_nodes(nodes)
        scale, shift = _affine(bn, current)
        before = current.producer(bn.inputs[0])
        at = nodes.index(bn)
        if before is not None and _foldable(before, bn, current):
            nodes[at : at + 1] = []
            nodes[nodes.index(before)] = _scaled(before, bn.outputs[0], scale, shift, current, tensors)
        else:
            nodes[at : at + 1] = _mul_add(bn, scale, shift, tensors)
    return graph.with_nodes(nodes, tensors)


def _affine(bn: Node, graph: Graph) -> tuple[Array, Array]:
    """The normalization as x * scale + shift, in double."""
    assert isinstance(bn.op, BatchNorm)
    gamma, beta, mean, variance = (np.asarray(need(t).data, np.float64) for t in graph.ins(bn)[1:])
    scale = gamma / np.sqrt(variance + bn.op.epsilon)
    return scale, beta - mean * scale


def _foldable(before: Node, bn: Node, graph: Graph) -> bool:
    """The layer has constant weights and no activation, and nothing else reads its result."""
    if before.op.name not in OUT_AXIS or getattr(before.op, "activation", "none") != "none":
        return False
    constants = [graph.tensors[n] for n in before.inputs[1:] if n]
    alone = len(graph.consumers(bn.inputs[0])) == 1 and bn.inputs[0] not in graph.outputs
    channels = constants[0].shape[OUT_AXIS[before.op.name]]
    return alone and all(t.is_const for t in constants) and channels == graph.tensors[bn.outputs[0]].shape[-1]


def _scaled(node: Node, output: str, scale: Array, shift: Array, graph: Graph, tensors: dict[str, Tensor]) -> Node:
    """The layer with the normalization in its weights and bias, under new names: others may share the old ones."""
    weights = need(graph.ins(node)[1])
    old_bias = graph.ins(node)[2] if len(node.inputs) > 2 else None
    axis = OUT_AXIS[node.op.name]
    along = scale.reshape([-1 if d == axis else 1 for d in range(len(weights.shape))])
    bias = (0.0 if old_bias is None else np.asarray(old_bias.data, np.float64)) * scale + shift
    names = (f"{weights.name}:folded:{node.name}", f"{weights.name}:bias:{node.name}")
    tensors[names[0]] = constant(names[0], (np.asarray(weights.data, np.float64) * along).astype(np.float32))
    tensors[names[1]] = constant(names[1], bias.astype(np.float32))
    return replace(node, inputs=(node.inputs[0], *names), outputs=(output,))


def _mul_add(bn: Node, scale: Array, shift: Array, tensors: dict[str, Tensor]) -> list[Node]:
    x, out = tensors[bn.inputs[0]], tensors[bn.outputs[0]]
    shape = (1,) * (len(x.shape) - 1) + (-1,)
    names = [f"{bn.name}:{part}" for part in ("scale", "shift", "scaled")]
    tensors[names[0]] = constant(names[0], scale.astype(np.float32).reshape(shape))
    tensors[names[1]] = constant(names[1], shift.astype(np.float32).reshape(shape))
    tensors[names[2]] = Tensor(names[2], out.shape, "float32")
    return [
        Node(names[2], Mul(), (x.name, names[0]), (names[2],)),
        Node(bn.name, Add(), (names[2], names[1]), bn.outputs),
    ]
