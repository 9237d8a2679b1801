"""Post-training quantization to int8: a float Graph and the ranges of its tensors -> a quantized Graph.

Activations are asymmetric, a scale and zero point a tensor; weights symmetric, a scale an output channel; biases
int32 at input scale times weight scale (Jacob et al., CVPR 2018; TFLite 8-bit quantization specification).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import DataError, UnsupportedError
from ..graph import INT_RANGE, Array, Graph, Node, Quant, Tensor, constant, verify
from ..lower.calls import require_executable
from ..ops.normalization import Normalization
from .calibrate import Ranges, calibrate, read_samples
from .correct_bias import correct_bias
from .equalize import equalize
from .methods import DEFAULT_METHOD, Method
from .norms import with_norm_constants
from .partial import choose, divide, join
from .pool_to_mean import pool_to_mean
from .scales import WEIGHTED, activation_quants, separate_fixed
from .simplify import simplify

BIAS_LIMIT = 1 << 29
"""A bias stays below this, so that it and the products leave room in 32 bits."""
DEAD_STEPS = 256
"""A channel without weights keeps its bias to 1 / DEAD_STEPS of an output step."""


def quantize(graph: Graph, ranges: Mapping[str, tuple[float, float]], keep_float: Collection[str] = ()) -> Graph:
    """Full-integer quantization, or partial.

    Args:
        graph: a float Graph, from PyTorch or from a float .tflite.
        ranges: from `calibrate` on the same graph.
        keep_float: names of layers, or patterns, that stay in float32, QUANTIZE and DEQUANTIZE around them.

    Returns: a Graph verified as "quantized" whose every node passes its `check`; inputs and outputs are int8, but
        float32 where only kept layers read or make them.
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
    part = _all_int8(divided.part, {**ranges, **copied})
    return require_executable(verify(join(divided, part), "quantized"))


def _all_int8(graph: Graph, ranges: Ranges) -> Graph:
    """Every node in integers; not verified, since a part need not be a whole graph."""
    graph = separate_fixed(graph)
    quants = activation_quants(graph, ranges)
    tensors = {name: quantized(graph.tensors[name], quant) for name, quant in quants.items()}
    nodes = [with_constants(n, graph, tensors) for n in graph.nodes]
    return replace(graph, tensors=tensors).with_nodes(nodes)


def with_constants(node: Node, graph: Graph, tensors: dict[str, Tensor]) -> Node:
    """The node with the constants that are quantized by what they mean to it, not as activations are."""
    if node.op.name in WEIGHTED:
        return with_weights(node, graph, tensors)
    return with_norm_constants(node, graph, tensors) if isinstance(node.op, Normalization) else node


def post_training(
    graph: Graph,
    data: Any,
    method: Method = DEFAULT_METHOD,
    percentile: float = 99.99,
    source: str = "calibration data",
    *,
    equalized: bool = False,
    bias_corrected: bool = True,
    pools_as_means: bool = True,
    keep_float: Collection[str] = (),
) -> Graph:
    """A float graph quantized with ranges from `data`: `calibrate`, `quantize`, and what helps accuracy beside it.

    Args:
        data, method, percentile, source: see `calibrate`.
        equalized: apply cross-layer equalization first (equalize.py). Weights have a scale a channel already: it is for
            models in which the channels of one tensor differ by orders of magnitude.
        bias_corrected: apply bias correction (correct_bias.py), with at most its SAMPLES samples.
        keep_float: layers that stay in float32, see partial.py; biases are then left as they are.
        pools_as_means: give global average pools a scale of their own (pool_to_mean.py).

    The defaults are what kept the outputs of the models in benchmarks/ptq.py closest to the floats, by SQNR.
    Raises what `calibrate` and `quantize` raise.
    """
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
    result = quantize(graph, ranges, keep_float)
    if not bias_corrected or keep_float:
        return result
    return quantize(correct_bias(graph, result, arrays), ranges)


def _require_float(graph: Graph) -> None:
    problems = [f"{t.name} is {t.dtype}" for t in graph.tensors.values() if t.dtype != "float32"]
    problems += [f"{t.name} is state kept between inferences" for t in graph.states()]
    for node in graph.nodes:
        weighted = node.op.name in WEIGHTED or isinstance(node.op, Normalization)
        if weighted and not all(graph.tensors[n].is_const for n in node.inputs[1:] if n):
            problems.append(f"{node.op.name} ({node.name}) has weights computed at run time")
    if problems:
        remedy = "Only float models without state are quantized; a quantized one is compiled as it is"
        raise UnsupportedError(graph.name, problems, remedy)


def quantized(t: Tensor, quant: Quant) -> Tensor:
    if t.data is None:
        return replace(t, dtype="int8", quant=quant)
    q = np.round(np.asarray(t.data, np.float64) / quant.scale[0]) + quant.zero_point[0]
    return constant(t.name, np.clip(q, -128, 127).astype(np.int8), quant)


def with_weights(node: Node, graph: Graph, tensors: dict[str, Tensor]) -> Node:
    """Quantize the node's weights and bias into `tensors`, under names of its own where others share them.

    Weights that carry a `Quant` (of a model that came quantized) keep its scales; others get the finest that fit."""
    weights, out = graph.tensors[node.inputs[1]], tensors[node.outputs[0]]
    bias = graph.tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    axis, in_scale = WEIGHTED[node.op.name], tensors[node.inputs[0]].scale
    real = np.asarray(weights.data, np.float64)
    given = None if weights.quant is None else np.array(weights.quant.scale)
    scales = weight_scales(real, axis, bias, in_scale, out.scale) if given is None else given
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
    low, high = INT_RANGE["int32"]
    bias_quant = Quant(tuple(float(s) for s in steps), zeros, 0 if len(scales) > 1 else None)
    tensors[bias_name] = constant(bias_name, np.clip(q, low, high).astype(np.int32), bias_quant)
    return replace(node, inputs=(node.inputs[0], name, bias_name))


def weight_scales(real: Array, axis: int, bias: Tensor | None, in_scale: float, out_scale: float) -> Array:
    """One float32-exact scale per output channel: the largest weight is 127 steps.

    A channel of zeros has no largest weight: its scale serves the bias alone. A bias too large for 32 bits
    widens its channel's scale, for the sum must hold it.
    """
    peaks = np.abs(np.moveaxis(real, axis, 0).reshape(real.shape[axis], -1)).max(axis=1)
    scales = np.where(peaks > 0, peaks / 127.0, out_scale / in_scale / DEAD_STEPS)
    # Weights too small for any output step to notice: finer scales only cost bits of the multiplier.
    scales = np.maximum(scales, out_scale / in_scale * 2.0**-30)
    if bias is not None:
        scales = np.maximum(scales, np.abs(np.asarray(bias.data, np.float64)) / (in_scale * BIAS_LIMIT))
    return np.maximum(scales, 1e-35).astype(np.float32).astype(np.float64)


def _own(name: str, node: Node, graph: Graph, tensors: dict[str, Tensor]) -> str:
    shared = len(graph.consumers(name)) > 1 or name in tensors or node.inputs.count(name) > 1
    return f"{name}:{node.name}" if shared else name
