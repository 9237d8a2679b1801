"""A graph without the channels that an inference does not need: every tensor, weight and attribute made to fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Array, Graph, Node, Quant, Tensor, constant, fresh
from ..ops.base import Op, need
from ..ops.conv2d_borders import by_place
from ..ops.links import channels
from ..ops.weighted import channel_scales
from .analyses.channel_sets import bias_of
from .analyses.needed import Needed, Sum, carriers


def shrink(graph: Graph, found: Needed) -> tuple[Graph, dict[str, int]]:
    """The graph with the channels in `found` alone, and by how many bytes each bias grew, by the node's output.

    Every output holds the bytes that it held before.
    """
    tensors = {name: _sliced(t, found.kept[name]) for name, t in graph.tensors.items()}
    growth: dict[str, int] = {}
    nodes: list[Node] = []
    for i, node in enumerate(graph.nodes):
        if i not in found.live:
            continue
        if i in found.sums:
            made = _mixed(node, graph, found, found.sums[i], tensors)
            growth[node.outputs[0]] = _bias_bytes(made, tensors) - _bias_bytes(node, tensors)
        elif node.op.layer is not None:
            made = _filtered(node, graph, found.kept[node.outputs[0]], tensors)
        else:
            made = _linked(node, found, tensors)
        nodes.append(made)
    return graph.with_nodes(nodes, tensors), growth


def _sliced(t: Tensor, kept: Array, axis: int = -1) -> Tensor:
    """Some of a tensor's channels, or of its indices along another axis, under the same name."""
    if not t.shape or len(kept) in (0, t.shape[axis]):
        return t
    axis %= len(t.shape)
    quant = t.quant
    if quant is not None and not quant.per_tensor and quant.axis == axis:
        scale, zero = (tuple(v[c] for c in kept) for v in (quant.scale, quant.zero_point))
        quant = replace(quant, scale=scale, zero_point=zero)
    data = None if t.data is None else np.take(t.data, kept, axis=axis)
    if data is not None:
        data.setflags(write=False)
    shape = tuple(len(kept) if d == axis else n for d, n in enumerate(t.shape))
    return replace(t, shape=shape, quant=quant, data=data)


def _bias_bytes(node: Node, tensors: dict[str, Tensor]) -> int:
    return tensors[node.inputs[2]].nbytes if len(node.inputs) > 2 and node.inputs[2] else 0


def _linked(node: Node, found: Needed, tensors: dict[str, Tensor]) -> Node:
    """A node without weights: what its attributes say of the channels follows the tensors."""
    if node.op.repeats:
        return replace(node, inputs=tuple(n for n in node.inputs if len(found.kept[n])))
    op = node.op.fitted([{}] * len(node.inputs), [tensors[n] for n in node.outputs])
    return node if op == node.op else replace(node, op=op)


# ---- operators with weights -------------------------------------------------------------------------------------


def _filtered(node: Node, graph: Graph, rows: Array, tensors: dict[str, Tensor]) -> Node:
    """Filters that each read channels of their own: those of the channels that stay."""
    if len(rows) == channels(graph.outs(node)[0]):
        return node
    weights = _sliced(need(graph.ins(node)[1]), rows, node.op.out_axis)
    bias = graph.tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    return _with(node, node.op, weights, bias and _sliced(bias, rows), tensors)


def _mixed(node: Node, graph: Graph, found: Needed, s: Sum, tensors: dict[str, Tensor]) -> Node:
    """Sums of the channels that stay, for the channels that stay; what constants added is in the bias."""
    x, w, out = need(graph.ins(node)[0]), need(graph.ins(node)[1]), graph.outs(node)[0]
    layer = node.op.layer
    assert layer is not None
    rows, columns = found.kept[out.name], found.kept[x.name]
    if len(rows) == channels(out) and len(columns) == channels(x):
        return node
    kept = np.zeros(channels(x), bool)
    kept[columns] = True
    mixed = _carried(s, kept, rows)[:, :, columns]
    sliced = _sliced(w, rows, node.op.out_axis)
    data = np.ascontiguousarray(layer.unmixed(mixed, w.shape))
    data.setflags(write=False)
    weights = replace(sliced, shape=data.shape, data=data)

    assert sliced.data is not None
    folded = np.where(s.foldable & ~kept, s.values.astype(np.float64) - x.zero_point, 0.0)
    added = layer.sums(folded, sliced.data.astype(np.float64)).astype(np.int64)
    # One row of a FULLY_CONNECTED stands for all: what its constants add is the same in each.
    added = added[0]
    old = bias_of(node, graph)
    if old is None and not added.any():
        return _with(node, node.op, weights, None, tensors)
    total = added + (0 if old is None else old[..., rows].astype(np.int64))
    flat = total.reshape(-1, total.shape[-1])
    same = (flat == flat[0]).all()
    op, bias = (layer.plain(), flat[0]) if same else by_place(layer.plain(), total)
    quant = Quant(tuple(float(np.float32(x.scale * v)) for v in channel_scales(weights, len(rows))), (0,) * len(rows))
    if len(rows) > 1:
        quant = replace(quant, axis=bias.ndim - 1)
    return _with(node, op, weights, constant(out.name, bias.astype(np.int32), quant), tensors)


def _carried(s: Sum, kept: Array, rows: Array) -> Array:
    """The weights [rows][taps][in_c] with those of equal channels on the first ones that stay."""
    weights = s.weights[rows]
    for members in s.classes:
        if kept[members].all():
            continue
        rest = weights[:, :, members].sum(axis=2)
        weights[:, :, members] = 0
        for c in members[kept[members]][: carriers(rest, s.weights)]:
            weights[:, :, c] = np.clip(rest, s.weights.min(), s.weights.max())
            rest = rest - weights[:, :, c]
    return weights


def _with(node: Node, op: Op, weights: Tensor, bias: Tensor | None, tensors: dict[str, Tensor]) -> Node:
    """The node with new weights and a new bias, under names of its own: others may share the old ones."""
    names: list[str] = []
    for t, role in ((weights, "weights"), (bias, "bias")):
        name = "" if t is None else fresh(f"{node.outputs[0]}:{role}", tensors)
        if t is not None:
            tensors[name] = replace(t, name=name)
        names.append(name)
    return replace(node, op=op, inputs=(node.inputs[0], *names))
