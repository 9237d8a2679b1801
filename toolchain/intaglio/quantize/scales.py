"""Which scale and zero point each tensor gets: TFLite's quantization specification, and TFLM's constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from ..graph import Graph, Node, Quant, Tensor
from ..ops.base import Op
from ..ops.curve import Curve
from ..ops.l2_normalization import OUTPUT_QUANT, L2Normalization
from ..ops.normalization import Normalization
from ..ops.quantize import Quantize
from ..ops.reduce_sum import ReduceSum
from ..ops.rsqrt import Rsqrt

Ranges = Mapping[str, tuple[float, float]]
ActivationBits = Literal[8, 16]
"""8: int8, a scale and zero point a tensor; 16: int16, a scale a tensor, zero point 0. Weights are int8."""
WEIGHTED = {"conv2d": 0, "depthwise_conv2d": 3, "fully_connected": 0, "transpose_conv": 0}
"""Operators with int8 weights (input 1) and a bias (input 2): the output-channel dimension of the weights."""
FIXED = {
    "softmax": Quant((1 / 256,), (-128,)),
    "logistic": Quant((1 / 256,), (-128,)),
    "tanh": Quant((1 / 128,), (0,)),
    L2Normalization.name: OUTPUT_QUANT,
}
"""Operators whose output quantization the specification fixes in int8."""
FIXED_INT16 = dict.fromkeys(FIXED, Quant((1 / 32768,), (0,)))
ALIKE = (
    "average_pool2d", "max_pool2d", "reshape", "transpose", "pad", "concatenation", "pack", "split", "unpack",
    "strided_slice", "resize_nearest_neighbor", "resize_bilinear", "depth_to_space", "space_to_depth", "maximum",
    "minimum", "reduce_max", "reduce_min", "tile",
)  # fmt: skip
"""Operators that move, compare or mix bytes: one quantization for everything they read and write."""
FINEST = {8: 2.0**-16, 16: 2.0**-12}
"""An output's range is at least so much of what its inputs could give: a finer scale leaves 32 bits in requantization,
and no result is known to that precision anyway. In 16 bits the arithmetic has fewer bits to spare."""
FINEST_HARD_SWISH = 2.0**-6
"""HARD_SWISH rescales in 16 bits and TFLM refuses outputs finer than 1/128 of its input."""

CURVES = ("softmax", "logistic", "tanh", "hard_swish")
NARROWEST = 2.0**-8
"""The input range of a curve is at least this: their fixed-point input is absolute, and so narrow a curve is a line.
The output range of a clamp at 6 or 1 too: TFLM refuses a model in which the bound is beyond 32 bits of its scale."""


def shares(op: Op) -> bool:
    """Whether inputs and outputs must be quantized alike. RELU6 of TFLM never rescales."""
    return op.name in ALIKE or (op.name == "relu" and getattr(op, "activation", "") == "relu6")


def values_of(node: Node) -> tuple[str, ...]:
    """The inputs of a node that are quantized as activations: not weights, not biases, not what a norm scales by."""
    alone = node.op.name in WEIGHTED or isinstance(node.op, Normalization)
    return tuple(n for n in (node.inputs[:1] if alone else node.inputs) if n)


def fixed_quants(graph: Graph, bits: ActivationBits) -> dict[str, Quant]:
    """Of the tensors whose quantization the specification fixes."""
    fixed = FIXED if bits == 8 else FIXED_INT16
    return {n.outputs[0]: fixed[n.op.name] for n in graph.nodes if n.op.name in fixed}


def separate_fixed(graph: Graph, bits: ActivationBits = 8) -> Graph:
    """Insert a QUANTIZE where a tensor of fixed quantization meets others in an operator that needs them alike."""
    groups = groups_of(graph)
    fixed = fixed_quants(graph, bits)
    mixed: set[str] = set()
    for members in groups:
        sources = _sources(graph, members)
        kinds = {fixed.get(n) for n in sources}
        if len(kinds) > 1:
            mixed.update(n for n in sources if n in fixed)
    if not mixed:
        return graph
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    for node in graph.nodes:
        if shares(node.op):
            node = replace(node, inputs=tuple(f"{n}:rescaled" if n in mixed else n for n in node.inputs))
        nodes.append(node)
        for name in node.outputs:
            if name in mixed:
                copy = f"{name}:rescaled"
                tensors[copy] = replace(tensors[name], name=copy)
                nodes.append(Node(copy, Quantize(), (name,), (copy,)))
    return graph.with_nodes(nodes, tensors)


def _sources(graph: Graph, members: Sequence[str]) -> list[str]:
    """The members of a group that are not written by an operator of the group."""
    inside = {n for node in graph.nodes if shares(node.op) for n in node.outputs}
    return [n for n in members if n not in inside]


def groups_of(graph: Graph) -> list[list[str]]:
    """Tensors that must be quantized alike, as sets; every activation is in exactly one."""
    group: dict[str, list[str]] = {}
    for node in graph.nodes:
        names = (*values_of(node), *node.outputs)
        for name in names:
            group.setdefault(name, [name])
        if shares(node.op):
            for name in names[1:]:
                first, other = group[names[0]], group[name]
                if first is not other:
                    first.extend(other)
                    group.update(dict.fromkeys(other, first))
    for name in (*graph.inputs, *graph.outputs):
        group.setdefault(name, [name])
    return list({id(g): g for g in group.values()}.values())


def activation_quants(graph: Graph, ranges: Ranges, bits: ActivationBits = 8) -> dict[str, Quant]:
    """The quantization of every activation and elementwise constant. `separate_fixed` has been applied."""
    fixed = fixed_quants(graph, bits)
    widened = _widened(graph, ranges, bits)
    choose = affine if bits == 8 else symmetric
    quants: dict[str, Quant] = {}
    for members in groups_of(graph):
        found = next((fixed[n] for n in _sources(graph, members) if n in fixed), None)
        if found is None:
            found = choose(min(widened[n][0] for n in members), max(widened[n][1] for n in members))
        quants.update(dict.fromkeys(members, found))
    return quants


def affine(low: float, high: float) -> Quant:
    """int8 over [low, high] with 0 exactly representable: scale (high - low) / 255, zero point rounded."""
    low, high = min(low, 0.0), max(high, 0.0)
    width = high - low
    if not width > 1e-30:  # nothing but zeros was seen
        return Quant((1.0,), (0,))
    scale = float(np.float32(width / 255.0))
    zero_point = round(-128 - low / scale)
    return Quant((scale,), (min(max(zero_point, -128), 127),))


def symmetric(low: float, high: float) -> Quant:
    """int16 over [low, high], with zero point 0: the largest magnitude is 32767 steps."""
    scale = float(np.float32(max(-low, high) / 32767.0))
    return Quant((scale,), (0,)) if max(-low, high) > 1e-30 else Quant((1.0,), (0,))


def _widened(graph: Graph, ranges: Ranges, bits: ActivationBits) -> dict[str, tuple[float, float]]:
    """Ranges of all activations and constants, none too fine for the arithmetic that makes or takes it."""
    found: dict[str, tuple[float, float]] = {}
    for name, t in graph.tensors.items():
        if t.data is not None:
            found[name] = (float(t.data.min()), float(t.data.max()))
        else:
            low, high = ranges[name.removesuffix(":rescaled")]
            found[name] = (min(low, 0.0), max(high, 0.0))
    for node in graph.nodes:
        if node.op.name in CURVES:
            _widen(found, node.inputs[0], NARROWEST)
        if getattr(node.op, "activation", "none") in ("relu6", "relu_n1_to_1"):
            _widen(found, node.outputs[0], NARROWEST)
        # A table holds its function at any scale.
        if node.op.name in FIXED or shares(node.op) or isinstance(node.op, Curve | Rsqrt):
            continue
        least = _reach(node, graph, found) * (FINEST_HARD_SWISH if node.op.name == "hard_swish" else FINEST[bits])
        for name in node.outputs:
            _widen(found, name, least)
    return found


def _widen(found: dict[str, tuple[float, float]], name: str, least: float) -> None:
    low, high = found[name]
    if high - low < least:
        found[name] = (low, low + least)


def _reach(node: Node, graph: Graph, found: Mapping[str, tuple[float, float]]) -> float:
    """About the largest magnitude that the operator's arithmetic can reach."""
    widths = [found[n][1] - found[n][0] for n in values_of(node)]
    if node.op.name in WEIGHTED:
        constants: list[Tensor] = [graph.tensors[n] for n in node.inputs[1:] if n]
        axis = WEIGHTED[node.op.name]
        others = tuple(d for d in range(len(constants[0].shape)) if d != axis)
        sums = np.abs(np.asarray(constants[0].data, np.float64)).sum(axis=others)
        bias = np.abs(np.asarray(constants[1].data, np.float64)).max() if len(constants) > 1 else 0.0
        return float(sums.max() * widths[0] + bias)
    if isinstance(node.op, Normalization):
        scale, *offset = (np.abs(np.asarray(graph.tensors[n].data, np.float64)).max() for n in node.inputs[1:] if n)
        return float(scale * node.op.count(graph.tensors[node.inputs[0]]) ** 0.5 + sum(offset))
    if node.op.name == "mul":
        return widths[0] * widths[1]
    if node.op.name == "prelu":
        return widths[0] * max(widths[1], 1.0)
    if node.op.name == "squared_difference":
        return max(widths) ** 2
    if isinstance(node.op, ReduceSum):
        return widths[0] * node.op.count(graph.tensors[node.inputs[0]])
    return max(widths)
