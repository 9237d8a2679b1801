"""HARD_SWISH in 16 bits becomes the operators that it is made of, for no runtime has it in 16 bits.

x * relu6(x + 3) / 6 as an ADD and two MULs, on tensors whose ranges follow from those of x and of the result.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Graph, Node, constant, fresh
from ..ops.add import Add
from ..ops.hard_swish import HardSwish
from ..ops.mul import Mul
from .scales import Ranges


def split_hard_swish(graph: Graph, ranges: Ranges) -> tuple[Graph, Ranges]:
    """A float graph without HARD_SWISH, and its ranges. The last part keeps the node's name and output."""
    tensors, found = dict(graph.tensors), dict(ranges)
    nodes: list[Node] = []
    for node in graph.nodes:
        if not isinstance(node.op, HardSwish):
            nodes.append(node)
            continue
        x, y = node.inputs[0], node.outputs[0]
        gate, product, three, sixth = (f"{y}:{part}" for part in ("gate", "product", "three", "sixth"))
        gate, product, three, sixth = (fresh(name, tensors) for name in (gate, product, three, sixth))
        tensors |= {n: replace(tensors[y], name=n, quant=None) for n in (gate, product)}
        tensors |= {n: constant(n, np.full((1,), v, np.float32)) for n, v in ((three, 3.0), (sixth, 1 / 6))}
        found[gate] = (float(np.clip(found[x][0] + 3, 0, 6)), float(np.clip(found[x][1] + 3, 0, 6)))
        found[product] = (6 * found[y][0], 6 * found[y][1])
        nodes.append(Node(gate, Add("relu6"), (x, three), (gate,)))
        nodes.append(Node(product, Mul(), (x, gate), (product,)))
        nodes.append(replace(node, op=Mul(), inputs=(product, sixth)))
    return graph.with_nodes(nodes, tensors), found
