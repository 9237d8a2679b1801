"""What each element of each int8 tensor can be: the lowest and the highest value over all inputs.

Interval arithmetic with the operators' own integer references (`Op.bounds`), so that it is exact about rounding and
clamping. An element whose bounds meet is a constant.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...graph import INT_RANGE, Array, Graph, Node, Tensor


class Bounds(NamedTuple):
    """Two int8 arrays of the tensor's shape: every value lies in low..high."""

    low: Array
    high: Array

    @property
    def constant(self) -> Array:
        """bool, of the tensor's shape: where there is one value only."""
        return np.asarray(self.low == self.high)


def bounds(graph: Graph) -> dict[str, Bounds]:
    """The bounds of every int8 tensor of a quantized graph, by name; nothing is known of the inputs and of state."""
    found: dict[str, Bounds] = {}
    for t in graph.tensors.values():
        if t.dtype == "int8" and t.is_const and t.data is not None:
            found[t.name] = Bounds(t.data, t.data)
        elif t.dtype == "int8":
            found[t.name] = anything(t)
    for node in graph.nodes:
        outs = graph.outs(node)
        if outs and all(t.dtype == "int8" for t in outs) and node.inputs[0] in found:
            known = _of_node(node, graph, found)
            if known is not None:
                found |= {t.name: b for t, b in zip(outs, known, strict=True)}
    return found


def anything(t: Tensor) -> Bounds:
    """The bounds of a tensor of which nothing is known."""
    low, high = INT_RANGE[t.dtype]
    return Bounds(np.full(t.shape, low, np.int8), np.full(t.shape, high, np.int8))


def _of_node(node: Node, graph: Graph, found: dict[str, Bounds]) -> list[Bounds] | None:
    lows, highs = ([found[n][side] if n in found else None for n in node.inputs] for side in (0, 1))
    known = node.op.bounds(lows, highs, graph.ins(node), graph.outs(node))
    return None if known is None else [Bounds(a, b) for a, b in zip(*known, strict=True)]
