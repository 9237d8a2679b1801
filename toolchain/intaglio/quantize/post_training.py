"""Post-training quantization to int8, or to int16 activations with int8 weights: a float Graph and the ranges of its
tensors -> a quantized Graph.

int8 activations are asymmetric, a scale and zero point a tensor, int16 ones symmetric; weights symmetric, a scale an
output channel; biases int32, or int64 beside int16, at input scale times weight scale (weights.py; Jacob et al., CVPR
2018; TFLite quantization specification).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from ..errors import DataError, UnsupportedError
from ..executable import require_executable
from ..floats.pool_to_mean import pool_to_mean
from ..floats.simplify import simplify
from ..graph import INT_RANGE, DTypeName, Graph, Node, Quant, Tensor, constant, verify
from .calibrate import Ranges, calibrate, read_samples
from .correct_bias import without_shift
from .equalize import equalize
from .learn_rounding import with_learned_rounding
from .methods import DEFAULT_METHODS, NARROW, Method
from .partial import choose, divide, join
from .scales import INTEGERS, ActivationBits, activation_quants, separate_fixed
from .side_by_side import Adjust, adjusted
from .split_hard_swish import split_hard_swish
from .weights import WeightBits, layer_bits, with_weights

Rounding = Literal["nearest", "learned"]


def quantize(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    keep_float: Collection[str] = (),
    weight_bits: WeightBits = 8,
    activation_bits: ActivationBits = 8,
) -> Graph:
    """Full-integer quantization, or partial.

    Args:
        graph: a float Graph, from PyTorch or from a float .tflite.
        ranges: from `calibrate` on the same graph.
        keep_float: names of layers, or patterns, that stay in float32, QUANTIZE and DEQUANTIZE around them.
        weight_bits: 8, 4 or 2 for the weights of all layers; or by the name of a layer, or a pattern, the later ones
            winning and the others having 8. Layers that stay in float32 ignore it.
        activation_bits: of activations; beside 16, weights have 8.

    Returns: a Graph verified as "quantized" whose every node passes its `check`; inputs and outputs are int8 or int16,
        but float32 where only kept layers read or make them.
    Raises: DataError when a tensor has no range, no layer has a name of keep_float, or no layer with weights one of
        weight_bits; UnsupportedError listing what cannot be executed.
    """
    graph = simplify(graph)
    _require_float(graph)
    return quantize_simplified(graph, ranges, keep_float, weight_bits, activation_bits)


def quantize_simplified(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    keep_float: Collection[str] = (),
    weight_bits: WeightBits = 8,
    activation_bits: ActivationBits = 8,
) -> Graph:
    """`quantize` for a float Graph that `simplify` has been through: training does it at each step."""
    computed = [*graph.inputs, *(n for node in graph.nodes for n in node.outputs)]
    missing = [n for n in computed if n not in ranges]
    if missing:
        raise DataError(f"tensor {missing[0]}", "has no range", "", "Calibrate this graph")
    divided = divide(graph, choose(graph, keep_float))
    copied = {copy: ranges[name] for copy, name in divided.origins.items() if name in ranges}
    part = _integers(divided.part, {**ranges, **copied}, layer_bits(graph, weight_bits), activation_bits)
    return require_executable(verify(join(divided, part), "quantized"))


def _integers(
    graph: Graph, ranges: Mapping[str, tuple[float, float]], weight_bits: Mapping[str, int], bits: ActivationBits
) -> Graph:
    """Every node in integers; not verified, since a part need not be a whole graph. `weight_bits` is by layer."""
    if bits == 16:
        graph, ranges = split_hard_swish(graph, ranges)
    graph = separate_fixed(graph, bits)
    quants = activation_quants(graph, ranges, bits)
    tensors = {name: quantized(graph.tensors[name], quant, INTEGERS[bits]) for name, quant in quants.items()}
    nodes = [with_constants(n, graph, tensors, weight_bits.get(n.outputs[0], 8)) for n in graph.nodes]
    return replace(graph, tensors=tensors).with_nodes(nodes)


def with_constants(node: Node, graph: Graph, tensors: dict[str, Tensor], bits: int = 8) -> Node:
    """The node with its parameters in integers: weights, biases and their like, which are not quantized as activations
    are."""
    if node.op.weighted:
        return with_weights(node, graph, tensors, bits)
    names = [node.inputs[0]]
    for name, t in zip(filter(None, node.inputs[1:]), node.op.quantized_parameters(graph.ins(node)), strict=False):
        names.append(f"{name}:{node.name}")
        tensors[names[-1]] = replace(t, name=names[-1])
    return replace(node, inputs=tuple(names)) if len(names) > 1 else node


def post_training(
    graph: Graph,
    data: Any,
    method: Method | None = None,
    percentile: float = 99.99,
    source: str = "calibration data",
    *,
    equalized: bool = False,
    bias_corrected: bool = True,
    rounding: Rounding = "nearest",
    pools_as_means: bool = True,
    keep_float: Collection[str] = (),
    weight_bits: WeightBits = 8,
    activation_bits: ActivationBits = 8,
) -> Graph:
    """A float graph quantized with ranges from `data`: `calibrate`, `quantize`, and what helps accuracy beside it.

    Args:
        data, method, percentile, source: see `calibrate`; without a method, that of methods.DEFAULT_METHODS.
        equalized: apply cross-layer equalization first (equalize.py). Weights have a scale a channel already: it is for
            models in which the channels of one tensor differ by orders of magnitude.
        bias_corrected: apply bias correction (correct_bias.py), with at most its SAMPLES samples.
        rounding: `learned` chooses each weight's rounding for the result of its layer (learn_rounding.py), with the
            same samples.
        weight_bits, activation_bits: see `quantize`.
        pools_as_means: give global average pools a scale of their own (pool_to_mean.py).
        keep_float: layers that stay in float32, see partial.py.

    The defaults are what kept the outputs of the models in benchmarks/ptq.py closest to the floats, by SQNR.
    Raises what `calibrate` and `quantize` raise.
    """
    if activation_bits not in DEFAULT_METHODS:
        raise DataError("activation_bits", f"is {activation_bits!r}", "8 or 16")
    if rounding not in get_args(Rounding):
        raise DataError("rounding", f"is {rounding!r}", ", ".join(get_args(Rounding)))
    method = method or DEFAULT_METHODS[activation_bits]
    if activation_bits == 16 and method in NARROW:
        raise DataError("calibration", f"the method {method!r} with 16-bit activations", "minmax, percentile")
    graph = simplify(graph)
    _require_float(graph)
    choose(graph, keep_float)  # a misspelt layer is told of before the long part
    few = [bits for bits in layer_bits(graph, weight_bits).values() if bits < 8]
    if few and activation_bits == 16:
        raise DataError("weight_bits", f"are {min(few)} with activation_bits 16", "8; 4 and 2 with activation_bits 8")
    arrays = read_samples(graph, data, source)
    if equalized:
        graph = equalize(graph)
    if pools_as_means:
        graph = pool_to_mean(graph)
    named = dict(zip(graph.inputs, arrays, strict=True))
    ranges: Ranges = calibrate(graph, named, method, percentile, source)
    result = quantize(graph, ranges, keep_float, weight_bits, activation_bits)
    adjust: list[Adjust] = [with_learned_rounding] if rounding == "learned" else []
    adjust += [without_shift] if bias_corrected else []
    if not adjust:
        return result
    return quantize(adjusted(graph, result, arrays, adjust), ranges, keep_float, weight_bits, activation_bits)


def _require_float(graph: Graph) -> None:
    problems = [f"{t.name} is {t.dtype}" for t in graph.tensors.values() if t.dtype != "float32"]
    problems += [f"{t.name} is state kept between inferences" for t in graph.states()]
    for node in graph.nodes:
        problems += [f"{node.op.name} ({node.name}): {p}" for p in node.op.check(graph.ins(node), graph.outs(node))]
        parameters = [graph.tensors[n] for k, n in enumerate(node.inputs) if n and k in node.op.parameters]
        if not all(t.is_const for t in parameters):
            problems.append(f"{node.op.name} ({node.name}) has weights computed at run time")
    if problems:
        remedy = "Only float models without state are quantized; a quantized one is compiled as it is"
        raise UnsupportedError(graph.name, problems, remedy)


def quantized(t: Tensor, quant: Quant, dtype: DTypeName = "int8") -> Tensor:
    if t.data is None:
        return replace(t, dtype=dtype, quant=quant)
    q = np.round(np.asarray(t.data, np.float64) / quant.scale[0]) + quant.zero_point[0]
    return constant(t.name, np.clip(q, *INT_RANGE[dtype]).astype(dtype), quant)
