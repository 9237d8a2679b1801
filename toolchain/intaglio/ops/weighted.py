"""What the operators with weights share: multipliers per output channel, the bound of the accumulator, the C call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..graph import INT_RANGE, Array, Tensor
from .activation import Activation, activation_range
from .base import Buf, Call, Const, Ins, Null, Outs, Struct, need
from .fixed import accumulator_problem, clamp_to, quantize_multiplier, requantize
from .float32 import float_bounds, float_problems, is_float, rounded

if TYPE_CHECKING:
    from ..compress.dependencies import Channels
    from ..graph import Graph, Node


def channel_scales(weights: Tensor, channels: int) -> list[float]:
    """One weight scale per output channel, whether the file has one or many."""
    scales = weights.quant.scale if weights.quant else ()
    return list(scales) if len(scales) == channels else [scales[0]] * channels


def channel_multipliers(x: Tensor, weights: Tensor, out: Tensor, channels: int) -> tuple[Array, Array]:
    """(multiplier int32 [channels], shift int8 [channels]) of input_scale * weight_scale / output_scale in double."""
    pairs = [quantize_multiplier(x.scale * s / out.scale) for s in channel_scales(weights, channels)]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)


def weighted_call(
    node: Node,
    graph: Graph,
    sizes: tuple[tuple[str, int], ...],
    activation: Activation,
    multipliers: Callable[[Tensor, Tensor, Tensor], tuple[Array, Array]],
    stepped: bool = False,
) -> Call:
    """The call of the kernel named like the operator, in int8 or float32 as the tensors are.

    `sizes` open the params struct; `multipliers` of (x, weights, out) are for int8 alone. `stepped` kernels take one
    multiplier for all channels as well, and are told by `multiplier_step`.
    """
    ins, out = graph.ins(node), graph.outs(node)[0]
    x, w = need(ins[0]), need(ins[1])
    stem = node.op.name
    bias = Buf(node.inputs[2]) if len(ins) > 2 and ins[2] is not None else Null()
    if is_float(ins, [out]):
        params = Struct(f"itg_{stem}_f32_params", (*sizes, *float_bounds(activation)))
        return Call(f"{stem}_f32", f"itg_{stem}_f32", (Buf(x.name), Buf(w.name), bias, Buf(out.name), params))
    multiplier, shift = multipliers(x, w, out)
    low, high = activation_range(activation, out)
    step = (("multiplier_step", int(len(multiplier) > 1)),) if stepped else ()
    offsets = (("in_offset", -x.zero_point), ("out_offset", out.zero_point), ("out_min", low), ("out_max", high))
    params = Struct(f"itg_{stem}_s8_params", (*sizes, *step, *offsets))
    factors = (Const("multiplier", multiplier), Const("shift", shift))
    return Call(stem, f"itg_{stem}_s8", (Buf(x.name), Buf(w.name), bias, *factors, Buf(out.name), params))


def weighted_problems(x: Tensor, weights: Tensor, bias: Tensor | None, out: Tensor, axis: int) -> list[str]:
    """Why an operator with weights cannot be executed: dtypes, and in int8 quantization, constness, overflow.

    `axis` is the output-channel axis of the weights.
    """
    if is_float([x], [out]):
        return float_problems([x, weights, bias], [out])
    found = [t.dtype for t in (x, weights, out)]
    if found != ["int8", "int8", "int8"]:
        return [f"its input, weights and output are {', '.join(found)}; int8 is supported"]
    if weights.data is None:
        return ["its weights are computed at run time; they must be constants"]
    if bias is not None and (bias.dtype != "int32" or bias.data is None):
        return [f"its bias is a {bias.dtype} {'constant' if bias.data is not None else 'computed at run time'}; "
                "an int32 constant is supported"]
    for t in (x, out):
        if t.quant is None or not t.quant.per_tensor:
            return [f"{t.name} must have one scale and one zero point"]
    q = weights.quant
    if q is None or (len(q.scale) > 1 and q.axis != axis):
        return [f"its weights must be quantized per tensor or along dimension {axis}"]
    if any(z != 0 for z in q.zero_point):
        return ["its weights have a zero point other than 0"]
    multiplier, shift = channel_multipliers(x, weights, out, weights.shape[axis])
    low, high = INT_RANGE[x.dtype]
    reach = max(x.zero_point - low, high - x.zero_point)
    w = np.moveaxis(np.abs(weights.data.astype(np.int64)), axis, 0).reshape(weights.shape[axis], -1)
    b = np.abs(bias.data.astype(np.int64)).ravel() if bias is not None and bias.data is not None else np.int64(0)
    bounds = w.sum(axis=1) * reach + b
    for bound, m, s in zip(bounds.tolist(), multiplier.tolist(), shift.tolist(), strict=True):
        problem = accumulator_problem(int(bound), [(m, s)])
        if problem:
            return [problem]
    return []


def input_offset(x: Tensor) -> int:
    """What a real 0 is in x: its zero point, or 0 in floats."""
    return 0 if x.dtype == "float32" else x.zero_point


def output_of(acc: Array, bias: Array | None, ins: Ins, out: Tensor, activation: Activation) -> Array:
    """The output of sums of products: with the bias, requantized where they are integers, clamped.

    `acc` [..., channels] holds float64, which is exact for the sums of int8 products.
    """
    total = acc if bias is None else acc + bias
    if is_float(ins, [out]):
        return rounded(total, activation)
    multiplier, shift = channel_multipliers(need(ins[0]), need(ins[1]), out, acc.shape[-1])
    y = requantize(total.astype(np.int64), multiplier, shift) + out.zero_point
    return clamp_to(y, *activation_range(activation, out))


def macs_of(weights: Tensor, positions: int) -> int:
    """Multiply-accumulates when each weight is used once at each of `positions`."""
    return math.prod(weights.shape) * positions


def weighted_channels(ins: Ins, outs: Outs, axis: int, made: Array, ties: Channels) -> list[Array]:
    """The channels `made` by weights along their `axis`: those of the bias, and of the output along its last axis."""
    ties.cut(need(ins[1]), axis, made, "makes")
    ties.cut(ins[2] if len(ins) > 2 else None, 0, made)
    shape = outs[0].shape
    return [ties.spread(made, shape, len(shape) - 1)]
