"""What the operators with weights share: multipliers per output channel, the bound of the accumulator, the C call."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import GraphError
from ..graph import INT_RANGE, Array, Tensor
from ..lower.encodings import encode, encoding_of, matrix
from .activation import Activation, activation_range
from .base import Arg, Buf, Call, Const, Ins, Null, Num, Outs, Scratch, Struct, need
from .fixed import accumulator_problem, clamp_to, quantize_multiplier, requantize
from .float32 import float_bounds, float_problems, is_float, rounded
from .integer import kernel, reach, tensor_problem
from .wide import reduced, requantize_wide, sum_problem

if TYPE_CHECKING:
    from ..compress.dependencies import Channels
    from ..graph import Graph, Node

LISTED = 0.8
"""The density up to which a list of nonzeros is worth its scratch, 4 bytes each."""
BIAS = {"int8": "int32", "int16": "int64"}
"""The dtype of a bias, by that of the activations (TFLite quantization specification)."""


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
    row: int = 0,
    span: int | None = None,
    taps: int = 1,
    stem: str = "",
) -> Call:
    """The call of the kernel named like the operator, or `stem`, in int8, int16 or float32 as the tensors are.

    `sizes` open the params struct; `multipliers` of (x, weights, out) are for integers alone. `stepped` kernels take
    one multiplier for all channels as well, and are told by `multiplier_step`. Encoded weights (lower/encodings) have
    kernels of their own, which decode an output channel's `row` of so many weights before they use it (0 for those that
    need no room). Where the encoding knows zeros, all windows skip them by a list of the nonzeros: see
    `nonzeros_argument` for `span` and `taps`.
    """
    ins, out = graph.ins(node), graph.outs(node)[0]
    x, w = need(ins[0]), need(ins[1])
    stem = stem or node.op.name
    bias = Buf(node.inputs[2]) if len(ins) > 2 and ins[2] is not None else Null()
    if is_float(ins, [out]):
        params = Struct(f"itg_{stem}_f32_params", (*sizes, *float_bounds(activation)))
        return Call(f"{stem}_f32", f"itg_{stem}_f32", (Buf(x.name), Buf(w.name), bias, Buf(out.name), params))
    multiplier, shift = multipliers(x, w, out)
    low, high = activation_range(activation, out)
    step = (("multiplier_step", int(len(multiplier) > 1)),) if stepped else ()
    offsets = (("in_offset", -x.zero_point), ("out_offset", out.zero_point)) if x.dtype == "int8" else ()
    if x.dtype == "int16":
        multiplier, shift = reduced(multiplier, shift)
    file, function = kernel(stem, x)
    params = Struct(f"{function}_params", (*sizes, *step, *offsets, ("out_min", low), ("out_max", high)))
    each = "each output channel" if len(multiplier) > 1 else "all output channels"
    factor = "multiplier * 2^(shift - 31)" if x.dtype == "int8" else "multiplier / 2^shift"
    factors = (
        Const("multiplier", multiplier, f"multiplier of {each}: a sum times {factor} is in steps of the output"),
        Const("shift", shift, f"shift of {each}, beside the multiplier"),
    )
    name = encoding_of(w)
    if not name or w.data is None:
        return Call(file, function, (Buf(x.name), Buf(w.name), bias, *factors, Buf(out.name), params))
    rows = matrix(w.data)
    encoded = encode(name, rows)
    if encoded is None:
        raise GraphError(f"tensor {w.name}", f"holds weights that the encoding {name} cannot", "another encoding")
    shape = "".join(f"[{d}]" for d in w.shape)
    arrays = [replace(a, comment=f"{shape}, {a.comment}") for a in encoded.arrays]
    scratch: tuple[Arg, ...] = (Scratch(encoded.ram_bytes, "int32"),) * (encoded.ram_bytes > 0)
    scratch += (Scratch(row),) * (row > 0)
    if encoded.skips and row > 0:
        scratch += nonzeros_argument(rows, span, taps)
    args = (Buf(x.name), *arrays, bias, *factors, Buf(out.name), *scratch, params)
    return Call(f"{stem}_{name}", f"itg_{stem}_{name}", args)


def nonzeros_argument(rows: Array, span: int | None, taps: int) -> tuple[Arg, Arg]:
    """The scratch for a list of a row's nonzeros, 4 bytes each and 2 for each of `taps` and the end, and how many
    nonzeros they are at most; see conv2d_nonzeros.h. None and -1 where no row is worth a list.

    Rows [n][weights] with many nonzeros take less time as they are. `span`: how many elements of the input lie from
    the first to the last that a row meets; None where windows never lie wholly inside.
    """
    counts = np.count_nonzero(rows, axis=1)
    worth = counts[counts <= rows.shape[1] * LISTED]
    if not worth.size or span is None or span > INT_RANGE["int16"][1]:
        return Null(), Num(-1)
    size = int(worth.max())
    return Scratch(4 * size + 2 * (taps + 1), "int16"), Num(size)


def weighted_problems(x: Tensor, weights: Tensor, bias: Tensor | None, out: Tensor, axis: int) -> list[str]:
    """Why an operator with weights cannot be executed: dtypes, and in integers quantization, constness, overflow.

    `axis` is the output-channel axis of the weights.
    """
    if is_float([x], [out]):
        return float_problems([x, weights, bias], [out])
    found = [t.dtype for t in (x, weights, out)]
    if found not in (["int8", "int8", "int8"], ["int16", "int8", "int16"]):
        return [f"its input, weights and output are {', '.join(found)}; int8 is supported, and int16 with int8 weights"]
    if weights.data is None:
        return ["its weights are computed at run time; they must be constants"]
    # Runtimes disagree on what int16 activations with an int32 bias give.
    if bias is not None and (bias.dtype != BIAS[x.dtype] or bias.data is None):
        return [
            f"its bias is a {bias.dtype} {'constant' if bias.data is not None else 'computed at run time'}; "
            f"with {x.dtype} activations an {BIAS[x.dtype]} constant is supported"
        ]
    for t in (x, out):
        problem = tensor_problem(t)
        if problem:
            return [problem]
    q = weights.quant
    if q is None or (len(q.scale) > 1 and q.axis != axis):
        return [f"its weights must be quantized per tensor or along dimension {axis}"]
    if any(z != 0 for z in q.zero_point):
        return ["its weights have a zero point other than 0"]
    if weights.encoding and x.dtype == "int16":
        return [f"its weights have the encoding {weights.encoding} and its activations 16 bits; 8 are supported"]
    if q.bits < 8 and x.dtype == "int16":
        return [f"its weights have {q.bits} bits and its activations 16; with int16 activations weights have 8"]
    multiplier, shift = channel_multipliers(x, weights, out, weights.shape[axis])
    w = np.moveaxis(np.abs(weights.data.astype(np.int64)), axis, 0).reshape(weights.shape[axis], -1)
    # Python's integers: a bias of 64 bits may be any.
    b = [abs(int(v)) for v in bias.data.ravel()] if bias is not None and bias.data is not None else [0] * len(w)
    bounds = [int(n) * reach(x) + k for n, k in zip(w.sum(axis=1), b, strict=True)]
    for bound, m, s in zip(bounds, multiplier.tolist(), shift.tolist(), strict=True):
        problem = sum_problem(bound, m, s) if x.dtype == "int16" else accumulator_problem(bound, [(m, s)])
        if problem:
            return [problem]
    return []


def input_offset(x: Tensor) -> int:
    """What a real 0 is in x: its zero point, or 0 in floats."""
    return 0 if x.dtype == "float32" else x.zero_point


def output_of(acc: Array, bias: Array | None, ins: Ins, out: Tensor, activation: Activation) -> Array:
    """The output of sums of products: with the bias, requantized where they are integers, clamped.

    `acc` [..., channels] holds float64, which is exact for the sums of integer products: they are below 2**53.
    """
    total = acc if bias is None else acc + bias
    if is_float(ins, [out]):
        return rounded(total, activation)
    multiplier, shift = channel_multipliers(need(ins[0]), need(ins[1]), out, acc.shape[-1])
    sums = total.astype(np.int64)
    if out.dtype == "int16":
        y = requantize_wide(sums, *reduced(multiplier, shift))
    else:
        y = requantize(sums, multiplier, shift) + out.zero_point
    return clamp_to(y, *activation_range(activation, out), out.dtype)


def macs_of(weights: Tensor, positions: int) -> int:
    """Multiply-accumulates when each weight is used once at each of `positions`."""
    return math.prod(weights.shape) * positions


def weighted_channels(ins: Ins, outs: Outs, axis: int, made: Array, ties: Channels) -> list[Array]:
    """The channels `made` by weights along their `axis`: those of the bias, and of the output along its last axis."""
    ties.cut(need(ins[1]), axis, made, "makes")
    ties.cut(ins[2] if len(ins) > 2 else None, 0, made)
    shape = outs[0].shape
    return [ties.spread(made, shape, len(shape) - 1)]
