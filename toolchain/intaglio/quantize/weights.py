"""Weights and biases as integers: symmetric, a scale an output channel, in 8, 4 or 2 bits.

With 8 bits the largest weight of a channel takes the largest step. With 4 and 2 bits that would leave most weights on a
few steps: there a channel's scale is the one with the least squared error, and larger weights are clipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import DataError
from ..graph import INT_RANGE, PACKED_BITS, Array, Graph, Node, Quant, Tensor, constant, packed_range
from ..ops.weighted import BIAS
from .partial import choose

WeightBits = int | Mapping[str, int]
"""Bits of the weights of all layers, or by the name of a layer or a pattern: later ones win, others have 8."""
BIAS_LIMIT = {"int8": 1 << 29, "int16": 1 << 45}
"""A bias stays below this, by the dtype of the activations, so that it and the products leave room in 32 or 47 bits."""
DEAD_STEPS = 256
"""A channel without weights keeps its bias to 1 / DEAD_STEPS of an output step."""
CLIPPING = {4: np.linspace(0.35, 1.3, 39), 2: np.geomspace(0.1, 1.3, 18)}
"""Where the search starts: the largest step is tried at these parts of a channel's largest weight. Above 1 nothing is
clipped, but a few weights can happen to lie closer to the steps."""
REFINEMENTS = 2
"""Least-squares steps from the best start: more change nothing that can be measured."""


def layer_bits(graph: Graph, weight_bits: WeightBits) -> dict[str, int]:
    """Bits of the weights of each layer that has any, by its first output.

    Raises: DataError for bits other than 8, 4, 2, and a name or pattern that no layer with weights has.
    """
    weighted = [n for n in graph.nodes if n.op.weighted]
    by_name = {"": weight_bits} if isinstance(weight_bits, int) else weight_bits
    found = {n.outputs[0]: 8 for n in weighted}
    for name, bits in by_name.items():
        if bits not in (8, *PACKED_BITS):
            raise DataError("weight_bits" + f" of {name!r}" * bool(name), f"are {bits}", "8, 4 or 2")
        some = choose(replace(graph, nodes=tuple(weighted)), [name], "weight_bits") if name else found.keys()
        found.update(dict.fromkeys(some, bits))
    return found


def with_weights(node: Node, graph: Graph, tensors: dict[str, Tensor], bits: int = 8) -> Node:
    """Quantize the node's weights and bias into `tensors`, under names of its own where others share them.

    Weights that carry a `Quant` (of a model that came quantized) keep its scales and bits; others get the scales of
    `weight_scales`."""
    weights, out = graph.tensors[node.inputs[1]], tensors[node.outputs[0]]
    bias = graph.tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    axis, in_scale = node.op.out_axis, tensors[node.inputs[0]].scale
    real = np.asarray(weights.data, np.float64)
    given = None if weights.quant is None else np.array(weights.quant.scale)
    bits = bits if weights.quant is None else weights.quant.bits
    if bias is None and out.dtype == "int16":
        # LiteRT's int16 convolution does not do without.
        bias = constant(f"{weights.name}:bias", np.zeros(real.shape[axis], np.float32))
    limit = BIAS_LIMIT[out.dtype]
    scales = weight_scales(real, axis, bias, in_scale, out.scale, bits, limit) if given is None else given
    along = scales.reshape([-1 if d == axis else 1 for d in range(real.ndim)])
    name = _own(weights.name, node, graph, tensors)
    zeros = (0,) * len(scales)
    low, high = levels(bits) if given is None else packed_range(bits)
    quant = Quant(tuple(scales.tolist()), zeros, axis if len(scales) > 1 else None, bits)
    tensors[name] = constant(name, np.clip(np.round(real / along), low, high).astype(np.int8), quant)
    if bias is None:
        return replace(node, inputs=(node.inputs[0], name))
    bias_name = _own(bias.name, node, graph, tensors)
    steps = np.float32(in_scale) * scales.astype(np.float32)
    q = np.round(np.asarray(bias.data, np.float64) / (in_scale * scales))
    low, high = INT_RANGE[BIAS[out.dtype]]
    bias_quant = Quant(tuple(float(s) for s in steps), zeros, 0 if len(scales) > 1 else None)
    tensors[bias_name] = constant(bias_name, np.clip(q, low, high).astype(BIAS[out.dtype]), bias_quant)
    return replace(node, inputs=(node.inputs[0], name, bias_name))


def levels(bits: int) -> tuple[int, int]:
    """The lowest and the highest integer that weights are rounded to.

    With 8 bits -127..127, as TFLite's specification says. With few bits one more level counts: all of -8..7 leaves 9 %
    less squared error of normally distributed weights than -7..7, and -2..1 22 % less than -1..1.
    """
    return (-127, 127) if bits == 8 else packed_range(bits)


def weight_scales(
    real: Array,
    axis: int,
    bias: Tensor | None,
    in_scale: float,
    out_scale: float,
    bits: int = 8,
    bias_limit: int = BIAS_LIMIT["int8"],
) -> Array:
    """One float32-exact scale per output channel: with 8 bits the largest weight is 127 steps, with fewer see
    `closest`.

    A channel of zeros has no largest weight: its scale serves the bias alone. A bias beyond `bias_limit`
    steps widens its channel's scale, for the sum must hold it.
    """
    rows = np.moveaxis(real, axis, 0).reshape(real.shape[axis], -1)
    peaks = np.abs(rows).max(axis=1)
    wanted = peaks / 127.0 if bits == 8 else closest(rows, bits)
    scales = np.where(peaks > 0, wanted, out_scale / in_scale / DEAD_STEPS)
    # Weights too small for any output step to notice: finer scales only cost bits of the multiplier.
    scales = np.maximum(scales, out_scale / in_scale * 2.0**-30)
    if bias is not None:
        scales = np.maximum(scales, np.abs(np.asarray(bias.data, np.float64)) / (in_scale * bias_limit))
    return np.maximum(scales, 1e-35).astype(np.float32).astype(np.float64)


def closest(rows: Array, bits: int) -> Array:
    """For each row of [channels][weights] the scale with which rounding and clipping leave the least squared error.

    For given integers q the best scale is sum(w q) / sum(q^2), which leaves sum(w^2) - sum(w q)^2 / sum(q^2). So some
    scales are tried, their integers judged by that, and the best refined in turn: new integers, their best scale.
    Rows of zeros give 0.
    """
    low, high = levels(bits)
    peaks = np.abs(rows).max(axis=1)
    # Brought to 1, so that float32, which is twice as fast, holds any model's weights.
    w = (rows / np.where(peaks > 0, peaks, 1.0)[:, None]).astype(np.float32)
    best = np.full(len(w), 1.0 / high, np.float32)
    gain = np.zeros(len(w), np.float32)
    q = np.empty_like(w)
    tried = [np.full(len(w), share / high, np.float32) for share in CLIPPING[bits]]
    for scale in (*tried, *[None] * REFINEMENTS):
        step = best if scale is None else scale
        np.multiply(w, (1 / step)[:, None], out=q)
        np.clip(np.rint(q, out=q), low, high, out=q)
        squares = np.einsum("ij,ij->i", q, q)
        products = np.einsum("ij,ij->i", w, q)
        squares[squares == 0] = 1.0
        found = products**2 / squares
        best = np.where(found > gain, products / squares, best)
        gain = np.maximum(found, gain)
    return np.asarray(best * peaks, np.float64)


def _own(name: str, node: Node, graph: Graph, tensors: dict[str, Tensor]) -> str:
    shared = len(graph.consumers(name)) > 1 or name in tensors or node.inputs.count(name) > 1
    return f"{name}:{node.name}" if shared else name
