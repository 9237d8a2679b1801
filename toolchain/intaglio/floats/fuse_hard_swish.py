"""x * relu6(x + 3) / 6 becomes HARD_SWISH: how exporters write it where their operator set has none of its own.

Howard et al., MobileNetV3, 2019. One table of 256 bytes instead of an ADD and two MULs, and two roundings less.
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node
from ..ops.add import Add
from ..ops.hard_swish import HardSwish
from ..ops.mul import Mul


def fuse_hard_swish(graph: Graph) -> Graph:
    """For float graphs, after fuse_activation. The factors may come in any order; what only served them is left behind
    for dead_code. Values change by float rounding only."""
    written = {n: node for node in graph.nodes for n in node.outputs}
    nodes: list[Node] = []
    for node in graph.nodes:
        x = _source(node, written, graph) if isinstance(node.op, Mul) and node.op.activation == "none" else None
        nodes.append(node if x is None else replace(node, op=HardSwish(), inputs=(x,)))
    return graph.with_nodes(nodes)


def _source(node: Node, written: dict[str, Node], graph: Graph) -> str | None:
    """The x of a product of x, relu6(x + 3) and 1/6."""
    factors = _factors(node, written, graph)
    scalars = [f for f in factors if _is_scalar(f, 1 / 6, graph)]
    computed = [f for f in factors if not graph.tensors[f].is_const]
    if len(factors) != 3 or len(scalars) != 1 or len(computed) != 2:
        return None
    for x, gate in (computed, computed[::-1]):
        add = written.get(gate)
        if add is None or not isinstance(add.op, Add) or add.op.activation != "relu6" or not _inner(gate, graph):
            continue
        if x in add.inputs and any(_is_scalar(n, 3.0, graph) for n in add.inputs):
            return x
    return None


def _factors(node: Node, written: dict[str, Node], graph: Graph) -> list[str]:
    """What two MULs in a row multiply."""
    found: list[str] = []
    for name in node.inputs:
        before = written.get(name)
        plain = before is not None and isinstance(before.op, Mul) and before.op.activation == "none"
        found += before.inputs if before is not None and plain and _inner(name, graph) else [name]
    return found


def _inner(name: str, graph: Graph) -> bool:
    """Whether a result serves one node only, and nothing rounds it."""
    return len(graph.consumers(name)) == 1 and name not in graph.outputs and graph.tensors[name].quant is None


def _is_scalar(name: str, value: float, graph: Graph) -> bool:
    t = graph.tensors[name]
    return t.is_const and t.data is not None and t.size == 1 and abs(float(t.data.item()) - value) < 1e-6 * value
