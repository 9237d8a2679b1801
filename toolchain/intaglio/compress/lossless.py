"""Exact reductions of a quantized model: every output byte stays, for every input.

Channels go that are the same for every input (zero filters, clamped sums), that nothing reads, or that repeat another
one. What a constant channel adds to a sum moves into the int32 bias of that sum. Through padding a constant differs
at the border; a convolution that reads it then has a bias for each of a few kinds of places (ops/conv2d_borders.py).
"""

from __future__ import annotations

from ..dead_code import dead_code
from ..executable import require_executable
from ..graph import Graph, verify
from ..ops.conv2d_borders import MAX_CLASSES, Conv2DBorders
from .analyses.needed import needed
from .shrink import shrink


def lossless(graph: Graph, borders: bool = True) -> Graph:
    """The smallest quantized graph that these reductions lead to: neither its MACs nor its constants ever grow.

    Args:
        graph: a quantized graph. Layers in float or with other integers than int8 stay as they are.
        borders: whether a convolution's bias may depend on where the output lies. TFLite has no such bias: without it,
            constant channels that would need it stay. They also stay before weights of 4 and 2 bits, which have no such
            kernel.

    Returns: a graph with the same inputs, outputs and state; the very graph where there is nothing to reduce.
    Raises: UnsupportedError for what cannot be executed.
    """
    alive = dead_code(require_executable(graph))
    if len(alive.nodes) < len(graph.nodes):
        graph = alive
    while True:
        reduced = _reduced(graph, borders)
        if not _better(cost(reduced), cost(graph)):
            return graph
        graph = verify(reduced, "quantized")


def cost(graph: Graph) -> tuple[int, int]:
    """(multiply-accumulates of an inference, bytes of constants in flash)."""
    return graph.macs(), sum(t.stored_bytes for t in graph.tensors.values() if t.is_const)


def _better(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a != b and a[0] <= b[0] and a[1] <= b[1]


def _reduced(graph: Graph, borders: bool) -> Graph:
    """One round. If constants would grow, the bias that grows most is left as it was, again and again until they do
    not."""
    strict: set[str] = set()
    while True:
        reduced, growth = shrink(graph, needed(graph, borders, strict))
        many = {n.outputs[0] for n in reduced.nodes if isinstance(n.op, Conv2DBorders) and _classes(n.op) > MAX_CLASSES}
        worst = max(growth, key=lambda name: growth[name], default="")
        if many - strict:
            strict |= many
        elif cost(reduced)[1] > cost(graph)[1] and growth.get(worst, 0) > 0 and worst not in strict:
            strict.add(worst)
        else:
            return reduced


def _classes(op: Conv2DBorders) -> int:
    return max(len(set(op.rows)), len(set(op.columns)))
