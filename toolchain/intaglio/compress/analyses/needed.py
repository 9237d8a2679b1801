"""Which channels an inference needs: the least set from which every output still follows, bit for bit.

What leaves the graph is needed, and so is what a needed channel is computed from. A weighted sum does not need a
channel whose weights are 0, or whose value is a constant that the bias can take over. Nor does it need a channel that
equals another one, if the weights of both add up to a weight.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ...graph import Array, Graph, Node
from ...ops.base import need
from .bounds import bounds
from .channel_sets import ChannelSets, links, mixing
from .duplicates import channel_numbers, constant_channels


@dataclass(frozen=True, eq=False)
class Sum:
    """What a node that mixes channels makes of its input x."""

    weights: Array
    """int64 [out_c][taps][in_c]"""
    foldable: Array
    """bool [in_c]: constants that the bias can take over."""
    numbers: Array
    """int64 [in_c]: equal where channels are."""
    values: Array
    """int8, x's shape: the values of the channels that are constant."""

    @property
    def classes(self) -> list[Array]:
        """The channels that are not foldable, equal ones together, each in order."""
        found: dict[int, list[int]] = {}
        for c in np.flatnonzero(~self.foldable).tolist():
            found.setdefault(int(self.numbers[c]), []).append(c)
        return [np.array(members) for members in found.values()]


def carriers(total: Array, weights: Array) -> int:
    """How many of some equal channels suffice to carry `total`, the sum of their weights.

    Weights stay in the range that the layer's weights have already, whatever their encoding.
    """
    high, low = int(weights.max()), int(weights.min())
    up = -(-int(total.max()) // high) if total.max() > 0 else 0
    down = -(int(total.min()) // -low) if total.min() < 0 else 0
    return max(up, down)


@dataclass(frozen=True, eq=False)
class Needed:
    """Per tensor the channels to keep, in order, and what is known of each node that mixes, by its number."""

    kept: dict[str, Array]
    sums: dict[int, Sum]
    live: frozenset[int]
    """Numbers of the nodes that are still needed."""


def needed(graph: Graph, borders: bool, strict: Collection[str] = ()) -> Needed:
    """The least channels of a quantized graph.

    Args:
        borders: whether the bias of a convolution may depend on where the output lies.
        strict: first outputs of nodes whose bias must not grow.
    """
    known = bounds(graph)
    numbers = channel_numbers(graph, known)
    sets = ChannelSets(graph)
    wanted = np.zeros(len(sets.group), bool)
    sums: dict[int, Sum] = {}
    for i, node in enumerate(graph.nodes):
        weights = mixing(node, graph)
        if weights is not None:
            x = node.inputs[0]
            constants = constant_channels(known[x])
            tight = node.outputs[0] in strict
            if tight and not (len(node.inputs) > 2 and node.inputs[2]):
                constants &= False
            elif tight or not borders or not _has_borders(node, graph):
                constants &= _uniform(node, graph, known[x].low)
            sums[i] = Sum(weights, constants, numbers[x], known[x].low)
    for name in _roots(graph):
        wanted[sets.of(name)] = True
    live: set[int] = set()
    size = -1
    while (total := int(wanted.sum())) != size:
        size = total
        for fill in (False, True):
            for i in reversed(range(len(graph.nodes))):
                if _spread(graph.nodes[i], graph, sets, wanted, sums.get(i), fill):
                    live.add(i)
            if wanted.sum() != size:
                break
    kept = {name: np.flatnonzero(wanted[sets.of(name)]) for name in graph.tensors}
    return Needed(kept, sums, frozenset(live))


def _has_borders(node: Node, graph: Graph) -> bool:
    """Whether a kernel computes the node with a bias that depends on where the output lies."""
    layer, quant = node.op.layer, need(graph.ins(node)[1]).quant
    return layer is not None and layer.bias_by_place and quant is not None and quant.bits == 8


def _roots(graph: Graph) -> list[str]:
    """Tensors that stay as they are: what the caller sees, state, and all that an operator keeps together.

    Weights and biases too: a node that loses channels gets new ones.
    """
    found = [*graph.inputs, *graph.outputs, *(t.name for t in graph.states())]
    for node in graph.nodes:
        found += [n for k, n in enumerate(node.inputs) if n and k in node.op.parameters]
        if mixing(node, graph) is None and links(node, graph) is None:
            found += [n for n in (*node.inputs, *node.outputs) if n]
    return found


def _spread(node: Node, graph: Graph, sets: ChannelSets, wanted: Array, s: Sum | None, fill: bool) -> bool:
    """Mark what a node needs for those of its outputs that are marked; returns whether any is.

    `fill`: tensors that only the node's kernel needs get one channel.
    """
    outs = [wanted[sets.of(n)] for n in node.outputs]
    if node.outputs and not any(o.any() for o in outs):
        return False
    if s is not None:
        x = sets.of(node.inputs[0])
        weights = s.weights[outs[0]]
        for members in s.classes:
            count = carriers(weights[:, :, members].sum(axis=2), s.weights)
            wanted[x[members[:count]]] = True
        if fill and not wanted[x].any():
            wanted[x[0]] = True
        return True
    if node.op.pointwise:
        linked = {link.input for link in links(node, graph) or []}
        for name in (n for k, n in enumerate(node.inputs) if k not in linked):
            wanted[sets.of(name)] = True
    for name, out in zip(node.outputs, outs, strict=True):
        if fill and not out.any():
            wanted[sets.of(name)[0]] = True
    return True


def _uniform(node: Node, graph: Graph, values: Array) -> Array:
    """bool [in_c]: whether a constant channel adds the same to the output everywhere, padding and all."""
    layer = node.op.layer
    assert layer is not None
    return layer.adds_alike(values, graph.ins(node))
