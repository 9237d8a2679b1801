"""Channels and what they have to do with each other. A channel is one index along the last axis of a tensor.

Operators come in two kinds. One mixes: each output channel is a weighted sum of all input channels (`mixing`), and
either side can lose channels on its own. The other links: output channels belong to input channels and stay or go
with them (`links`); what cannot be told apart is linked altogether.
"""

from __future__ import annotations

import numpy as np

from ...graph import Array, Graph, Node
from ...ops.links import Link, channels

# ---- one node ----------------------------------------------------------------------------------------------------


def mixing(node: Node, graph: Graph) -> Array | None:
    """The weights of an int8 operator that mixes channels, int64 [out_c][taps][in_c]; None for all others.

    in_c is the channels of x. A FULLY_CONNECTED that reads a whole image as one row has a tap a pixel.
    """
    layer = node.op.layer
    return None if layer is None else layer.mixing(graph.ins(node))


def links(node: Node, graph: Graph) -> list[Link] | None:
    """How the channels of a node that does not mix belong together; None where they cannot be told apart."""
    ins, outs = graph.ins(node), graph.outs(node)
    if not outs or not ins or ins[0] is None or any(not t.shape for t in (*ins, *outs) if t is not None):
        return None
    return node.op.links(ins, outs)


def bias_of(node: Node, graph: Graph) -> Array | None:
    """The int32 bias of an operator with weights, [..., out_c]; of CONV_2D_BORDERS [out_h][out_w][out_c]."""
    layer, bias = node.op.layer, graph.tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    return None if layer is None or bias is None or bias.data is None else layer.bias_map(bias.data)


# ---- all channels of a graph ------------------------------------------------------------------------------------


class ChannelSets:
    """The channels of all tensors that carry activations, numbered, and the sets in which they stay or go."""

    def __init__(self, graph: Graph) -> None:
        self.start: dict[str, int] = {}
        total = 0
        for t in graph.tensors.values():
            self.start[t.name] = total
            total += channels(t)
        self.sizes = {t.name: channels(t) for t in graph.tensors.values()}
        self.group = np.arange(total)
        """The least number among the channels that stay or go with each."""
        for node in graph.nodes:
            self._join(node, graph)

    def of(self, name: str) -> Array:
        """The set of each channel of a tensor."""
        return self.group[self.start[name] : self.start[name] + self.sizes[name]]

    def _join(self, node: Node, graph: Graph) -> None:
        if mixing(node, graph) is not None:
            return
        found = links(node, graph)
        if found is None:
            self.merge(np.concatenate([self._numbers(n) for n in (*node.inputs, *node.outputs) if n]))
            return
        for link in found:
            a = self._numbers(node.inputs[link.input])[link.ins]
            b = self._numbers(node.outputs[link.output])[link.outs]
            self.merge(a, b)

    def _numbers(self, name: str) -> Array:
        return np.arange(self.start[name], self.start[name] + self.sizes[name])

    def merge(self, a: Array, b: Array | None = None) -> None:
        """Make one set of each a[i] and b[i], or of all of a."""
        b = np.broadcast_to(a[:1], a.shape) if b is None else b
        while True:
            ga, gb = self.group[a], self.group[b]
            low = np.minimum(ga, gb)
            if np.array_equal(ga, gb):
                return
            # Each set takes the lowest name it is joined with; names are resolved to the end of their chain.
            np.minimum.at(self.group, ga, low)
            np.minimum.at(self.group, gb, low)
            while True:
                further = self.group[self.group]
                if np.array_equal(further, self.group):
                    break
                self.group = further
