"""Runs a Graph in NumPy: the meaning that every other backend is held to. Exact in integers; floats are rounded once
a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .errors import DataError
from .graph import Array, Graph

State = Mapping[str, Array]


def initial_state(graph: Graph) -> dict[str, Array]:
    """The value of each state tensor after a reset."""
    return {t.name: np.array(t.data) for t in graph.states()}


def step(
    graph: Graph, inputs: Sequence[Array], state: State, visit: Callable[[str, Array], None] | None = None
) -> tuple[list[Array], dict[str, Array]]:
    """One inference.

    Args:
        graph: a quantized (or lowered, or planned) graph, or a float one as pipeline.executable gives it.
        inputs: one array per graph input, of the input's full shape (batch 1 included) and dtype.
        state: values of the state tensors; `initial_state(graph)` at first.
        visit: called with the name and value of each tensor as it is computed.

    Returns: the outputs, and the state for the next inference.
    """
    now = dict(state)
    values: dict[str, Array] = {t.name: t.data for t in graph.tensors.values() if t.is_const and t.data is not None}
    for name, x in zip(graph.inputs, inputs, strict=True):
        t = graph.tensors[name]
        if x.shape != t.shape or x.dtype.name != t.dtype:
            raise DataError(f"input {name}", f"has {x.dtype}{x.shape}", f"{t.dtype}{t.shape}")
        values[name] = x
    for node in graph.nodes:
        xs = [None if not n else now[n] if n in now else values[n] for n in node.inputs]
        found = node.op.reference(xs, graph.ins(node), graph.outs(node))
        if node.op.state == "assigns":
            now[node.inputs[1]] = found[0]
            continue
        for name, value in zip(node.outputs, found, strict=True):
            values[name] = value
            if visit is not None:
                visit(name, value)
    return [values[n] for n in graph.outputs], now


def run(graph: Graph, inputs: Sequence[Array], each: Callable[[int], None] | None = None) -> list[Array]:
    """A sequence of inferences from a reset on, state carried from one to the next.

    Args:
        inputs: one array per graph input, [n, *shape without the batch], or [n, *shape] as it is.
        each: called with the number of inferences done, after each.

    Returns: one array per graph output, [n, *shape].
    """
    state: dict[str, Array] = initial_state(graph)
    rows: list[list[Array]] = []
    for i in range(len(inputs[0])):
        one = [x[i].reshape(graph.tensors[n].shape) for x, n in zip(inputs, graph.inputs, strict=True)]
        outputs, state = step(graph, one, state)
        rows.append(outputs)
        if each is not None:
            each(i + 1)
    return [np.stack([r[k] for r in rows]) for k in range(len(graph.outputs))]
