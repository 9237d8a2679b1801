"""Which scale and zero point each tensor gets: TFLite's quantization specification, and TFLM's constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from ..graph import DTypeName, Graph, Node, Quant
from ..ops.base import NARROWEST
from ..ops.quantize import Quantize

Ranges = Mapping[str, tuple[float, float]]
ActivationBits = Literal[8, 16]
"""8: int8, a scale and zero point a tensor; 16: int16, a scale a tensor, zero point 0. Weights are int8."""
INTEGERS: dict[int, DTypeName] = {8: "int8", 16: "int16"}


def values_of(node: Node) -> tuple[str, ...]:
    """The inputs of a node that are quantized as activations: not weights, not biases, not what a norm scales by."""
    return tuple(n for k, n in enumerate(node.inputs) if n and k not in node.op.parameters)


def fixed_quants(graph: Graph, bits: ActivationBits) -> dict[str, Quant]:
    """The quantization of the tensors for which the specification fixes it."""
    dtype = INTEGERS[bits]
    return {n.outputs[0]: n.op.output_quants[dtype] for n in graph.nodes if dtype in n.op.output_quants}


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
        if node.op.shares_quant:
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
    inside = {n for node in graph.nodes if node.op.shares_quant for n in node.outputs}
    return [n for n in members if n not in inside]


def groups_of(graph: Graph) -> list[list[str]]:
    """Tensors that must be quantized alike, as sets; every activation is in exactly one."""
    group: dict[str, list[str]] = {}
    for node in graph.nodes:
        names = (*values_of(node), *node.outputs)
        for name in names:
            group.setdefault(name, [name])
        if node.op.shares_quant:
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
        if node.op.narrowest_input:
            _widen(found, node.inputs[0], node.op.narrowest_input)
        if node.op.clamp in ("relu6", "relu_n1_to_1"):
            _widen(found, node.outputs[0], NARROWEST)  # TFLM refuses a bound that is beyond 32 bits of the scale
        if node.op.output_quants or node.op.shares_quant:
            continue
        widths = [found[n][1] - found[n][0] for n in values_of(node)]
        least = node.op.reach(widths, graph.ins(node)) * node.op.finest[INTEGERS[bits]]
        for name in node.outputs:
            _widen(found, name, least)
    return found


def _widen(found: dict[str, tuple[float, float]], name: str, least: float) -> None:
    low, high = found[name]
    if high - low < least:
        found[name] = (low, low + least)
