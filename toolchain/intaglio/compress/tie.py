"""Parameter sharing between layers: several layers have one weight (Dehghani et al., ICLR 2019, and ALBERT, Lan et al.,
ICLR 2020, tie theirs so), trained as one and stored once in flash."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from ..errors import DataError
from ..floats.simplify import simplify
from ..graph import Array, Graph, Node, constant
from ..quantize.partial import choose


def tie(graph: Graph, layers: Collection[str]) -> Graph:
    """Give layers one weight tensor, the mean of theirs. Biases stay each layer's own.

    `train.to_module` of the result trains it as one parameter, `module.layers.NAME.weight` of the first of the layers.
    Quantized per output channel, all of them have the same integers, which lie in flash once.

    Args:
        graph: a float graph whose batch norms are folded (`floats.simplify`).
        layers: names of layers with constant weights of one shape and one operator, or patterns with * and ?; two at
            least.

    Raises: DataError for layers that do not exist, are fewer than two, differ in operator or shape, have weights that
        are not constant floats or are on a grid already (codebooks), or have a batch norm behind them, which would
        give each of them weights of its own.
    """
    weighted = replace(graph, nodes=tuple(n for n in graph.nodes if n.op.weighted))
    wanted = choose(weighted, layers, "tie, layers")
    chosen = [n for n in weighted.nodes if n.outputs[0] in wanted]
    _require(graph, chosen)
    values = [_weights(graph, n) for n in chosen]
    first = chosen[0].inputs[1]
    # In double, so that the mean of equal weights is what they are.
    mean = np.asarray(np.mean(values, axis=0, dtype=np.float64), np.float32)
    # A name of its own where other layers read the first one's weights, which they keep.
    others = [n for n in graph.consumers(first) if n not in chosen]
    name = f"{first}:tied" if others else first
    nodes = [replace(n, inputs=(n.inputs[0], name, *n.inputs[2:])) if n in chosen else n for n in graph.nodes]
    return graph.with_nodes(nodes, {**graph.tensors, name: constant(name, mean)})


def tied_as_given(graph: Graph) -> Graph:
    """A float graph in which layers with the same weights, bit for bit, read one constant: exporters, and the passes
    behind them, write two constants for what a network uses twice, and training would make them differ.

    Constants of one value, such as biases of zeros, stay: they say nothing.
    """
    names: dict[tuple[tuple[int, ...], bytes], str] = {}
    same: dict[str, str] = {}
    for node in graph.nodes:
        for at in node.op.trainable:
            t = graph.tensors[node.inputs[at]] if at < len(node.inputs) and node.inputs[at] else None
            if t is None or t.data is None or t.dtype != "float32" or t.size < 2 or (t.data == t.data.flat[0]).all():
                continue
            same[t.name] = names.setdefault((t.shape, t.data.tobytes()), t.name)
    nodes = [replace(n, inputs=tuple(same.get(name, name) for name in n.inputs)) for n in graph.nodes]
    return graph.with_nodes(nodes, graph.tensors)


def _require(graph: Graph, chosen: list[Node]) -> None:
    named = ", ".join(n.name for n in chosen)
    if len(chosen) < 2:
        found = f"name one layer with weights, {named}" if named else "name no layer with weights"
        raise DataError("tie, layers", found, "two or more")
    for node in chosen:
        t = graph.tensors[node.inputs[1]]
        if t.data is None or t.dtype != "float32":
            found = f"its weights are {t.dtype if t.data is not None else 'computed at run time'}"
            raise DataError(f"tie, layer {node.name!r}", found, "float32 constants", "Tie before quantizing")
        if t.quant is not None:
            raise DataError(f"tie, layer {node.name!r}", "its weights are on a grid", "", "Tie before sharing")
    kinds = {(n.op.name, graph.tensors[n.inputs[1]].shape) for n in chosen}
    if len(kinds) > 1:
        found = "; ".join(f"{n.name}: {n.op.name} {list(graph.tensors[n.inputs[1]].shape)}" for n in chosen)
        raise DataError("tie, layers", f"differ: {found}", "one operator and one shape")
    simplified = simplify(graph)
    for node in chosen:
        folded = simplified.tensors.get(node.inputs[1])
        if folded is None or not np.array_equal(np.asarray(folded.data), _weights(graph, node)):
            found = "a batch norm behind it would give it weights of its own"
            raise DataError(f"tie, layer {node.name!r}", found, "", "Tie the layers of simplify(graph)")


def _weights(graph: Graph, node: Node) -> Array:
    return np.asarray(graph.tensors[node.inputs[1]].data)
