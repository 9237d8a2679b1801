"""Post-training quantization to int8, or to int16 activations with int8 weights: a float Graph and the ranges of its
tensors -> a quantized Graph.

int8 activations are asymmetric, a scale and zero point a tensor, int16 ones symmetric; weights symmetric, a scale an
output channel; biases int32, or int64 beside int16, at input scale times weight scale (Jacob et al., CVPR 2018; TFLite
quantization specification).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import DataError, UnsupportedError
from ..graph import INT_RANGE, Array, DTypeName, Graph, Node, Quant, Tensor, constant, verify
from ..lower.calls import require_executable
from ..ops.weighted import BIAS
from .calibrate import Ranges, calibrate, read_samples
from .correct_bias import correct_bias
from .equalize import equalize
from .methods import DEFAULT_METHODS, NARROW, Method
from .partial import choose, divide, join
from .pool_to_mean import pool_to_mean
from .scales import WEIGHTED, ActivationBits, activation_quants, separate_fixed
from .simplify import simplify
from .split_hard_swish import split_hard_swish

BIAS_LIMIT = {"int8": 1 << 29, "int16": 1 << 45}
"""A bias stays below this, by the dtype of the activations, so that it and the products leave room in 32 or 47 bits."""
DEAD_STEPS = 256
"""A channel without weights keeps its bias to 1 / DEAD_STEPS of an output step."""


def quantize(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    keep_float: Collection[str] = (),
    activation_bits: ActivationBits = 8,
) -> Graph:
    """Full-integer quantization, or partial.

    Args:
        graph: a float Graph, from PyTorch or from a float .tflite.
        ranges: from `calibrate` on the same graph.
        keep_float: names of layers, or patterns, that stay in float32, QUANTIZE and DEQUANTIZE around them.
        activation_bits: of activations; weights are int8.

    Returns: a Graph verified as "quantized" whose every node passes its `check`; inputs and outputs are int8 or int16,
        but float32 where only kept layers read or make them.
    Raises: DataError when a tensor has no range or no layer has a name of keep_float; UnsupportedError listing what
        cannot be executed.
    """
    graph = simplify(graph)
    _require_float(graph)
    computed = [*graph.inputs, *(n for node in graph.nodes for n in node.outputs)]
    missing = [n for n in computed if n not in ranges]
    if missing:
        raise DataError(f"tensor {missing[0]}", "has no range", "", "Calibrate this graph")
    divided = divide(graph, choose(graph, keep_float))
    copied = {copy: ranges[name] for copy, name in divided.origins.items() if name in ranges}
    part = _integers(divided.part, {**ranges, **copied}, activation_bits)
    return require_executable(verify(join(divided, part), "quantized"))


def _integers(graph: Graph, ranges: Mapping[str, tuple[float, float]], bits: ActivationBits) -> Graph:
    """Every node in integers; not verified, since a part need not be a whole graph."""
    if bits == 16:
        graph, ranges = split_hard_swish(graph, ranges)
    graph = separate_fixed(graph, bits)
    quants = activation_quants(graph, ranges, bits)
    dtype: DTypeName = "int8" if bits == 8 else "int16"
    tensors = {name: quantized(graph.tensors[name], quant, dtype) for name, quant in quants.items()}
    nodes = [with_weights(n, graph, tensors) if n.op.name in WEIGHTED else n for n in graph.nodes]
    return replace(graph, tensors=tensors).with_nodes(nodes)


def post_training(
    graph: Graph,
    data: Any,
    method: Method | None = None,
    percentile: float = 99.99,
    source: str = "calibration data",
    *,
    equalized: bool = False,
    bias_corrected: bool = True,
    pools_as_means: bool = True,
    keep_float: Collection[str] = (),
    activation_bits: ActivationBits = 8,
) -> Graph:
    """A float graph quantized with ranges from `data`: `calibrate`, `quantize`, and what helps accuracy beside it.

    Args:
        data, method, percentile, source: see `calibrate`; without a method, that of methods.DEFAULT_METHODS.
        equalized: apply cross-layer equalization first (equalize.py). Weights have a scale a channel already: it is for
            models in which the channels of one tensor differ by orders of magnitude.
        bias_corrected: apply bias correction (correct_bias.py), with at most its SAMPLES samples.
        pools_as_means: give global average pools a scale of their own (pool_to_mean.py).
        keep_float: layers that stay in float32, see partial.py.
        activation_bits: see `quantize`.

    The defaults are what kept the outputs of the models in benchmarks/ptq.py closest to the floats, by SQNR.
    Raises what `calibrate` and `quantize` raise.
    """
    method = method or DEFAULT_METHODS[activation_bits]
    if activation_bits == 16 and method in NARROW:
        raise DataError("calibration", f"the method {method!r} with 16-bit activations", "minmax, percentile")
    graph = simplify(graph)
    _require_float(graph)
    choose(graph, keep_float)  # a misspelt layer is told of before the long part
    arrays = read_samples(graph, data, source)
    if equalized:
        graph = equalize(graph)
    if pools_as_means:
        graph = pool_to_mean(graph)
    named = dict(zip(graph.inputs, arrays, strict=True))
    ranges: Ranges = calibrate(graph, named, method, percentile, source)
    result = quantize(graph, ranges, keep_float, activation_bits)
    if not bias_corrected:
        return result
    return quantize(correct_bias(graph, result, arrays), ranges, keep_float, activation_bits)


def _require_float(graph: Graph) -> None:
    problems = [f"{t.name} is {t.dtype}" for t in graph.tensors.values() if t.dtype != "float32"]
    problems += [f"{t.name} is state kept between inferences" for t in graph.states()]
    for node in graph.nodes:
        if node.op.name in WEIGHTED and not all(graph.tensors[n].is_const for n in node.inputs[1:] if n):
            problems.append(f"{node.op.name} ({node.name}) has weights computed at run time")
    if problems:
        remedy = "Only float models without state are quantized; a quantized one is compiled as it is"
        raise UnsupportedError(graph.name, problems, remedy)


def quantized(t: Tensor, quant: Quant, dtype: DTypeName = "int8") -> Tensor:
    if t.data is None:
        return replace(t, dtype=dtype, quant=quant)
    q = np.round(np.asarray(t.data, np.float64) / quant.scale[0]) + quant.zero_point[0]
    return constant(t.name, np.clip(q, *INT_RANGE[dtype]).astype(dtype), quant)


def with_weights(node: Node, graph: Graph, tensors: dict[str, Tensor]) -> Node:
    """Quantize the node's weights and bias into `tensors`, under names of its own where others share them.

    Weights that carry a `Quant` (of a model that came quantized) keep its scales; others get the finest that fit."""
    weights, out = graph.tensors[node.inputs[1]], tensors[node.outputs[0]]
    bias = graph.tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    axis, in_scale = WEIGHTED[node.op.name], tensors[node.inputs[0]].scale
    real = np.asarray(weights.data, np.float64)
    given = None if weights.quant is None else np.array(weights.quant.scale)
    if bias is None and out.dtype == "int16":
        # LiteRT's int16 convolution does not do without.
        bias = constant(f"{weights.name}:bias", np.zeros(real.shape[axis], np.float32))
    scales = weight_scales(real, axis, bias, in_scale, out.scale, BIAS_LIMIT[out.dtype]) if given is None else given
    along = scales.reshape([-1 if d == axis else 1 for d in range(real.ndim)])
    name = _own(weights.name, node, graph, tensors)
    zeros = (0,) * len(scales)
    lowest = -127 if given is None else -128
    quant = Quant(tuple(scales.tolist()), zeros, axis if len(scales) > 1 else None)
    tensors[name] = constant(name, np.clip(np.round(real / along), lowest, 127).astype(np.int8), quant)
    if bias is None:
        return replace(node, inputs=(node.inputs[0], name))
    bias_name = _own(bias.name, node, graph, tensors)
    steps = np.float32(in_scale) * scales.astype(np.float32)
    q = np.round(np.asarray(bias.data, np.float64) / (in_scale * scales))
    low, high = INT_RANGE[BIAS[out.dtype]]
    bias_quant = Quant(tuple(float(s) for s in steps), zeros, 0 if len(scales) > 1 else None)
    tensors[bias_name] = constant(bias_name, np.clip(q, low, high).astype(BIAS[out.dtype]), bias_quant)
    return replace(node, inputs=(node.inputs[0], name, bias_name))


def weight_scales(
    real: Array, axis: int, bias: Tensor | None, in_scale: float, out_scale: float, bias_limit: int
) -> Array:
    """One float32-exact scale per output channel: the largest weight is 127 steps.

    A channel of zeros has no largest weight: its scale serves the bias alone. A bias beyond `bias_limit`
    steps widens its channel's scale, for the sum must hold it.
    """
    peaks = np.abs(np.moveaxis(real, axis, 0).reshape(real.shape[axis], -1)).max(axis=1)
    scales = np.where(peaks > 0, peaks / 127.0, out_scale / in_scale / DEAD_STEPS)
    # Weights too small for any output step to notice: finer scales only cost bits of the multiplier.
    scales = np.maximum(scales, out_scale / in_scale * 2.0**-30)
    if bias is not None:
        scales = np.maximum(scales, np.abs(np.asarray(bias.data, np.float64)) / (in_scale * bias_limit))
    return np.maximum(scales, 1e-35).astype(np.float32).astype(np.float64)


def _own(name: str, node: Node, graph: Graph, tensors: dict[str, Tensor]) -> str:
    shared = len(graph.consumers(name)) > 1 or name in tensors or node.inputs.count(name) > 1
    return f"{name}:{node.name}" if shared else name
