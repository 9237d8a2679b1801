"""The stage between lowering and planning: kernels and encodings for a target."""

from __future__ import annotations

from ..graph import Graph, Preference, verify
from ..targets import Target
from .calls import with_calls
from .weights import choose


def select(graph: Graph, target: Target, weights: Preference = "dense") -> Graph:
    """A lowered graph -> the same with the calls of each node.

    `weights`: what the way in which flash holds them is to be good for (select/weights.py); with `dense` it is that of
    the graph, and each node takes the first kernel that fits of the target's folders. Raises DataError, GraphError.
    """
    graph, chosen = choose(graph, weights, target)
    return with_calls(verify(graph, "quantized"), target, chosen)
