"""Partial quantization: chosen layers stay in float32, with QUANTIZE and DEQUANTIZE where they meet the others.

The graph is divided while it is still float; the rest is a graph of its own, quantized like any other, and joined
again.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ..errors import DataError
from ..graph import Graph, Node, Tensor
from ..ops.dequantize import Dequantize
from ..ops.quantize import Quantize

NEAREST = 5
"""Names that the error for an unknown layer offers."""


def choose(graph: Graph, layers: Collection[str] | str, option: str = "keep_float") -> frozenset[str]:
    """The layers that `layers` names, by their first output.

    Args:
        graph: a simplified float graph. Its layers are called as in the float model; TensorFlow's "a;b;c" is also "a".
        layers: names of layers, or patterns with * and ? as for files; a string is one of them.
        option: where they come from, for errors.

    Raises: DataError for a name or pattern that no layer has.
    """
    kept: set[str] = set()
    for wanted in (layers,) if isinstance(layers, str) else layers:
        found = [n for n in graph.nodes if wanted in _names(n)]
        found = found or [n for n in graph.nodes if any(fnmatchcase(name, wanted) for name in _names(n))]
        if not found:
            every = [_names(n)[-1] for n in graph.nodes]
            near = difflib.get_close_matches(wanted, every, NEAREST, 0.0)
            remedy = "Batch norms and activations are part of the layer before them"
            left = len(every) - len(near)
            more = f" and {left} more, which `intaglio inspect` lists" if left else ""
            raise DataError(option, f"no layer is called {wanted!r}", ", ".join(near) + more, remedy)
        kept.update(n.outputs[0] for n in found)
    return frozenset(kept)


def _names(node: Node) -> tuple[str, str]:
    return node.name, node.name.split(";")[0]


@dataclass(frozen=True, eq=False)
class Divided:
    """A float graph cut in two. `outside` holds the kept nodes and the borders, `part` all others as a graph."""

    whole: Graph
    """All nodes in order, borders included."""
    outside: frozenset[str]
    """First outputs of the kept nodes and of the borders."""
    part: Graph
    origins: Mapping[str, str]
    """For each tensor that a border makes, the tensor that it is a copy of."""


def divide(graph: Graph, kept: frozenset[str]) -> Divided:
    """Put a border before the first reader of each tensor that is made on one side and read on the other.

    A graph input belongs to the kept layers when they alone read it, a graph output when one of them makes it.
    """
    floats = {name for node in graph.nodes if node.outputs[0] in kept for name in node.outputs}
    for name in graph.inputs:
        readers = graph.consumers(name)
        if readers and all(r.outputs[0] in kept for r in readers):
            floats.add(name)
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    copies: dict[tuple[str, bool], str] = {}
    borders: set[str] = set()
    for node in graph.nodes:
        keep = node.outputs[0] in kept
        names: list[str] = []
        for name in node.inputs:
            if not name or not _crosses(graph, name, keep, kept, floats):
                names.append(name)
                continue
            if (name, keep) not in copies:
                copy = copies[name, keep] = _fresh(f"{name}:{'float' if keep else 'int8'}", tensors)
                tensors[copy] = replace(tensors[name], name=copy)
                if not tensors[name].is_const:
                    borders.add(copy)
                    nodes.append(Node(copy, Dequantize() if keep else Quantize(), (name,), (copy,)))
            names.append(copies[name, keep])
        nodes.append(replace(node, inputs=tuple(names)))
    whole = replace(graph, nodes=tuple(nodes), tensors=tensors)
    outside = kept | borders
    origins = {copy: name for (name, _), copy in copies.items()}
    return Divided(whole, outside, _part(whole, outside, floats), origins)


def _crosses(graph: Graph, name: str, keep: bool, kept: frozenset[str], floats: Collection[str]) -> bool:
    """Whether a node needs another copy of its input than the one that is there."""
    if graph.tensors[name].is_const:
        # A constant that both sides read is there twice: as floats and as integers.
        return keep and any(r.outputs[0] not in kept for r in graph.consumers(name))
    return (name in floats) != keep


def _fresh(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _part(whole: Graph, outside: frozenset[str], floats: Collection[str]) -> Graph:
    """The nodes that are quantized, with what they need and give as inputs and outputs."""
    inside = [n for n in whole.nodes if n.outputs[0] not in outside]
    made = {name for node in inside for name in node.outputs}
    read = [name for node in inside for name in node.inputs if name and not whole.tensors[name].is_const]
    inputs = dict.fromkeys(n for n in (*whole.inputs, *read) if n not in made and n not in floats)
    wanted = [name for node in whole.nodes if node.outputs[0] in outside for name in node.inputs if name]
    outputs = dict.fromkeys(n for n in (*whole.outputs, *wanted) if n in made or n in inputs)
    return replace(whole, inputs=tuple(inputs), outputs=tuple(outputs)).with_nodes(inside)


def join(divided: Divided, part: Graph) -> Graph:
    """The whole graph with its part quantized. The part may have more nodes than before, none of which makes what
    a kept node reads."""
    whole = divided.whole
    queue = list(part.nodes)
    nodes: list[Node] = []
    for node in whole.nodes:
        if node.outputs[0] in divided.outside:
            nodes.append(node)
            continue
        wanted = [n.outputs[0] for n in queue].index(node.outputs[0]) + 1
        nodes += queue[:wanted]
        queue = queue[wanted:]
    tensors: dict[str, Tensor] = {**whole.tensors, **part.tensors}
    return whole.with_nodes(nodes, tensors)
