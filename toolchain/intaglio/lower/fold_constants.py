"""Nodes whose inputs are all constant are computed once, here, instead of at every inference."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node

MAX_FOLDED = 1 << 20
"""Elements of a result that is worth storing in flash."""


def fold_constants(graph: Graph) -> Graph:
    """Replace every node that has only constant inputs by its result, by the operator's own integer reference.

    Outputs of the graph are left to be computed, and so are float nodes: they have no integer reference.
    """
    tensors = dict(graph.tensors)
    kept: list[Node] = []
    for node in graph.nodes:
        ins = [tensors[n] if n else None for n in node.inputs]
        outs = [tensors[n] for n in node.outputs]
        foldable = (
            outs
            # A small file can ask for a huge constant by broadcasting: that stays a computation.
            and sum(t.size for t in outs) <= MAX_FOLDED
            and any(t is not None for t in ins)
            and all(t is None or t.is_const for t in ins)
            and not any(n in graph.outputs for n in node.outputs)
            and node.op.has_reference
            and not any(t is not None and t.dtype == "float32" for t in (*ins, *outs))
        )
        if not foldable:
            kept.append(node)
            continue
        values = node.op.reference([None if t is None else t.data for t in ins], ins, outs)
        for t, value in zip(outs, values, strict=True):
            value.setflags(write=False)
            tensors[t.name] = replace(t, data=value)
    return graph.with_nodes(kept, tensors)
