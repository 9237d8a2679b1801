"""Batch normalization disappears: into the weights of the layer before it, or into a MUL and an ADD.

Jacob et al., CVPR 2018, section 3.2. Weights are scaled in double and rounded to float32 once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Array, Graph, Node, Tensor, constant
from ..ops.add import Add
from ..ops.mul import Mul


def fold_batch_norm(graph: Graph) -> Graph:
    """Replace every BatchNorm of a float graph. Values change by float rounding only."""
    tensors = dict(graph.tensors)
    parts = [[node] for node in graph.nodes]
    """What stands for each node by now."""
    written = {name: at for at, node in enumerate(graph.nodes) for name in node.outputs}
    for at, bn in enumerate(graph.nodes):
        found = bn.op.affine([tensors.get(n) for n in bn.inputs])
        if found is None:
            continue
        scale, shift = found
        layer = written.get(bn.inputs[0])
        before = parts[layer] if layer is not None else []
        if layer is not None and len(before) == 1 and _foldable(before[0], bn, graph, tensors):
            parts[layer] = [_scaled(before[0], bn.outputs[0], scale, shift, tensors)]
            parts[at] = []
            written[bn.outputs[0]] = layer
        else:
            parts[at] = _mul_add(bn, scale, shift, tensors)
    return graph.with_nodes((node for part in parts for node in part), tensors)


def _foldable(before: Node, bn: Node, graph: Graph, tensors: dict[str, Tensor]) -> bool:
    """The layer has constant weights and no activation, and nothing else reads its result."""
    if not before.op.weighted or before.op.clamp != "none":
        return False
    constants = [tensors[n] for n in before.inputs[1:] if n]
    alone = len(graph.consumers(bn.inputs[0])) == 1 and bn.inputs[0] not in graph.outputs
    channels = constants[0].shape[before.op.out_axis]
    return alone and all(t.is_const for t in constants) and channels == tensors[bn.outputs[0]].shape[-1]


def _scaled(node: Node, output: str, scale: Array, shift: Array, tensors: dict[str, Tensor]) -> Node:
    """The layer with the normalization in its weights and bias, under new names: others may share the old ones."""
    weights = tensors[node.inputs[1]]
    old_bias = tensors.get(node.inputs[2]) if len(node.inputs) > 2 else None
    axis = node.op.out_axis
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
