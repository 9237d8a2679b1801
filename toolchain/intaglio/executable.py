"""Whether a graph can be computed at all, in integers or in floats."""

from __future__ import annotations

import numpy as np

from .errors import UnsupportedError
from .graph import Graph, Node


def require_executable(graph: Graph) -> Graph:
    """Raise UnsupportedError listing every node that cannot be executed, in integers or in float32, and why."""
    problems = [
        f"{n.op.name} ({n.name}): {reason}"
        for n in graph.nodes
        for reason in n.op.check(graph.ins(n), graph.outs(n)) or _without_kernel(n)
    ]
    for t in graph.tensors.values():
        if t.dtype == "float32" and t.data is not None and not np.isfinite(t.data).all():
            problems.append(f"{t.name}: it holds NaN or infinite values")
    if problems:
        raise UnsupportedError(graph.name, problems)
    return graph


def _without_kernel(node: Node) -> list[str]:
    """A batch norm goes into other layers' constants, but only in a model that is float as a whole."""
    return ["it is no operator of a quantized model"] if not node.op.executable else []
