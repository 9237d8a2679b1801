"""Cross-layer equalization: what one layer multiplies a channel by, the next divides by.

Nagel et al., ICCV 2019, section 4.1. Factors are powers of two: multiplying a float by one is exact (subnormals
aside), and the outputs of the graph stay the same to the last bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..floats.simplify import simplify
from ..graph import Array, Graph, Node, Tensor, constant

ROUNDS = 20
"""Pairs overlap: what one settles, its neighbour upsets a little. Factors of 1 everywhere end it sooner."""
HOMOGENEOUS = ("none", "relu")
"""Activations f with f(s * x) = s * f(x) for s > 0. RELU6 is none."""
LARGEST = 12
"""Factors of one round lie between 2**-12 and 2**12."""


@dataclass(frozen=True)
class Pair:
    """`second` alone reads what `first` computes, channel for channel. Positions in graph.nodes."""

    first: int
    second: int


def equalize(graph: Graph) -> Graph:
    """A float graph with the same outputs. In each pair of layers, the weights of output channel i of the first and of
    input channel i of the second span as much as each other, as far as powers of two allow. Layers in integers stay as
    they are."""
    graph = simplify(graph)
    pairs = pairs_of(graph)
    nodes, tensors = list(graph.nodes), dict(graph.tensors)
    uses = Counter(name for node in nodes for name in node.inputs)
    for at in sorted({i for p in pairs for i in (p.first, p.second)}):
        nodes[at] = _owning(nodes[at], uses, tensors)
    for _ in range(ROUNDS):
        moved = False
        for pair in pairs:
            first, second = nodes[pair.first], nodes[pair.second]
            factors = _factors(first, second, tensors)
            if (factors != 1.0).any():
                moved = True
                _apply(first, second, factors, tensors)
        if not moved:
            break
    return graph.with_nodes(nodes, tensors)


def pairs_of(graph: Graph) -> list[Pair]:
    """All pairs of layers that can be equalized, in execution order."""
    found = []
    for at, node in enumerate(graph.nodes):
        if not _layer(node, graph) or node.op.clamp not in HOMOGENEOUS:
            continue
        follower = _follower(node, graph)
        if follower is not None:
            found.append(Pair(at, graph.nodes.index(follower)))
    return found


def _follower(node: Node, graph: Graph) -> Node | None:
    """The layer that alone reads the result of `node`, through operators that keep channels apart."""
    channels = graph.tensors[node.outputs[0]].shape[-1]
    while True:
        name = node.outputs[0]
        readers = graph.consumers(name)
        if len(readers) != 1 or name in graph.outputs or readers[0].inputs.count(name) != 1:
            return None
        node = readers[0]
        if _layer(node, graph):
            inputs = _input_channels(node, graph)
            return node if node.inputs[0] == name and inputs == channels else None
        if not _carries(node, graph):
            return None


def _layer(node: Node, graph: Graph) -> bool:
    constants = [graph.tensors[n] for n in node.inputs[1:] if n]
    return node.op.weighted and node.op.homogeneous and all(t.is_const and t.dtype == "float32" for t in constants)


def _input_channels(node: Node, graph: Graph) -> int:
    """Channels of the input as the weights count them; 0 for a grouped convolution, which is left alone."""
    weights, x = graph.tensors[node.inputs[1]], graph.tensors[node.inputs[0]]
    if node.op.per_channel:
        return x.shape[3]
    return weights.shape[-1] if weights.shape[-1] == x.shape[-1] else 0


def _carries(node: Node, graph: Graph) -> bool:
    """Whether each channel of the result is a homogeneous function of that channel of the input."""
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    axes = getattr(node.op, "axes", ())
    return (
        node.op.homogeneous
        and not node.op.weighted
        and x.shape[-1:] == y.shape[-1:]
        and len(x.shape) - 1 not in axes
        and node.op.clamp in HOMOGENEOUS
    )


def _owning(node: Node, uses: Mapping[str, int], tensors: dict[str, Tensor]) -> Node:
    """The layer with weights and a bias of its own, so that another that shares them is not changed."""
    inputs = [node.inputs[0]]
    for name in node.inputs[1:]:
        own = name
        if name and uses[name] > 1:
            own = f"{name}:equalized:{node.name}"
            tensors[own] = replace(tensors[name], name=own)
        inputs.append(own)
    return replace(node, inputs=tuple(inputs))


def _factors(first: Node, second: Node, tensors: dict[str, Tensor]) -> Array:
    """The power of two for each channel that brings the spans of both layers' weights closest, float64 [channels]."""
    a = _spans(tensors[first.inputs[1]], first.op.out_axis, 1)
    weights = tensors[second.inputs[1]]
    b = _spans(weights, len(weights.shape) - 1, weights.shape[-1] // len(a) if second.op.per_channel else 1)
    usable = (a > 0) & (b > 0)
    # first * s and second / s are equal at s = sqrt(b / a).
    exponent = np.log2(np.where(usable, b, 1.0) / np.where(usable, a, 1.0)) / 2
    return np.asarray(2.0 ** np.clip(np.rint(exponent), -LARGEST, LARGEST))


def _spans(weights: Tensor, axis: int, multiplier: int) -> Array:
    """The largest magnitude along `axis`, of each group of `multiplier` neighbours."""
    real = np.abs(np.asarray(weights.data, np.float64))
    peaks = np.moveaxis(real, axis, 0).reshape(real.shape[axis], -1).max(axis=1)
    return np.asarray(peaks.reshape(-1, multiplier).max(axis=1))


def _apply(first: Node, second: Node, factors: Array, tensors: dict[str, Tensor]) -> None:
    weights = tensors[first.inputs[1]]
    axis = first.op.out_axis
    along = factors.reshape([-1 if d == axis else 1 for d in range(len(weights.shape))])
    _scale(first.inputs[1], along, tensors)
    if len(first.inputs) > 2 and first.inputs[2]:
        _scale(first.inputs[2], factors, tensors)
    last = tensors[second.inputs[1]].shape[-1]
    _scale(second.inputs[1], 1.0 / np.repeat(factors, last // len(factors) if second.op.per_channel else 1), tensors)


def _scale(name: str, by: Array, tensors: dict[str, Tensor]) -> None:
    tensors[name] = constant(name, (np.asarray(tensors[name].data, np.float64) * by).astype(np.float32))
