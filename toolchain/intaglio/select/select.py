"""The stage between lowering and planning: kernels and encodings for a target."""

from __future__ import annotations

from ..graph import Graph, Preference, verify
from ..targets import Target
from .calls import with_calls
from .weights import choose


def select(graph: Graph, target: Target, weights: Preference = "dense") -> Graph:
    """A lowered graph -> the same with the calls of each node.

    `weights`: the preference by which encodings are chosen (select/weights.py). With `dense` they stay those of the
    graph, and each node takes the first kernel that fits, in the order of the target's folders. Raises DataError,
    GraphError.
    """
    graph, chosen = choose(graph, weights, target)
    return with_calls(verify(graph, "quantized"), target, chosen)
