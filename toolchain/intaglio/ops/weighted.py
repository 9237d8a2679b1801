"""What the operators with weights share: multipliers per output channel, the bound of the accumulator, the C call."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import Array, Tensor
from .activation import Activation, activation_range
from .base import Buf, Call, Const, Ins, Null, Outs, Overlap, Struct, need
from .fixed import accumulator_problem, clamp_to, quantize_multiplier, requantize
from .float32 import float_bounds, float_problems, is_float, rounded
from .integer import kernel, reach, tensor_problem
from .wide import fifteen_bits, requantize_wide, sum_problem

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies

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


@dataclass(frozen=True, eq=False)
class WeightedLayer:
    """What a layer with weights computes: the facts from which every kernel makes its call.

    Attributes:
        stem: of its kernels: `conv2d` for conv2d.c, conv2d_huffman.c, ...
        x, weights, out: its tensors; `bias` is the name of a constant, "" for none.
        activation: fused, a clamp of the output.
        sizes: fields that open the params struct of all kernels of the stem.
        multiplier, shift: int32 and int8 of each output channel, or one for all; empty in floats.
        stepped: kernels take one multiplier for all channels as well, and are told by `multiplier_step`.
        row: the weights of an output channel, for which a decoding kernel needs room; 0 where it uses each as it is
            decoded.
        span: elements of x from the first to the last that the window of a channel meets; None where none lies
            wholly inside.
        taps: places of a filter, for all its channels.
        lag: of kernels that make one position after another; None where outputs are not positions (see Overlap).
    """

    stem: str
    x: Tensor
    weights: Tensor
    bias: str
    out: Tensor
    activation: Activation
    sizes: tuple[tuple[str, int], ...]
    multiplier: Array
    shift: Array
    stepped: bool = False
    row: int = 0
    span: int | None = None
    taps: int = 1
    lag: int | None = None

    @property
    def bias_argument(self) -> Buf | Null:
        return Buf(self.bias) if self.bias else Null()

    @property
    def bounds(self) -> tuple[int, int]:
        """What the fused activation leaves of the output's integers."""
        return activation_range(self.activation, self.out)

    @property
    def factors(self) -> tuple[Const, Const]:
        """Multipliers and shifts as arguments; for int16 activations the multipliers have 15 bits."""
        multiplier, shift = self.multiplier, self.shift
        if self.x.dtype == "int16":
            multiplier, shift = fifteen_bits(multiplier, shift)
        each = "each output channel" if len(multiplier) > 1 else "all output channels"
        factor = "multiplier * 2^(shift - 31)" if self.x.dtype == "int8" else "multiplier / 2^shift"
        return (
            Const("multiplier", multiplier, f"multiplier of {each}: a sum times {factor} is in steps of the output"),
            Const("shift", shift, f"shift of {each}, beside the multiplier"),
        )

    def params(self, ctype: str) -> Struct:
        """The struct of an integer kernel of this stem."""
        x, out = self.x, self.out
        step = (("multiplier_step", int(len(self.multiplier) > 1)),) if self.stepped else ()
        offsets = (("in_offset", -x.zero_point), ("out_offset", out.zero_point)) if x.dtype == "int8" else ()
        low, high = self.bounds
        return Struct(ctype, (*self.sizes, *step, *offsets, ("out_min", low), ("out_max", high)))


def weighted_layer(
    node: Node, graph: Graph, sizes: tuple[tuple[str, int], ...], activation: Activation, channels: int, **more: Any
) -> WeightedLayer:
    """The facts of a node with inputs x, weights and perhaps a bias. `channels`: how many multipliers there are;
    `more`: further attributes of WeightedLayer, `stem` if it is not the operator's name."""
    ins, out = graph.ins(node), graph.outs(node)[0]
    x, w = need(ins[0]), need(ins[1])
    none = np.zeros(0, np.int32), np.zeros(0, np.int8)
    multiplier, shift = none if is_float(ins, [out]) else channel_multipliers(x, w, out, channels)
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    facts = {"stem": node.op.name, "multiplier": multiplier, "shift": shift, **more}
    return WeightedLayer(x=x, weights=w, bias=bias, out=out, activation=activation, sizes=sizes, **facts)


def weighted_call(layer: WeightedLayer) -> Call:
    """The call of the portable kernel, in int8, int16 or float32 as the tensors are, for weights as they are."""
    stem, x, w, out = layer.stem, layer.x, layer.weights, layer.out
    over = () if layer.lag is None else (Overlap(x.name, layer.lag),)
    arguments = (Buf(x.name), Buf(w.name), layer.bias_argument)
    if is_float([x, w], [out]):
        params = Struct(f"itg_{stem}_f32_params", (*layer.sizes, *float_bounds(layer.activation)))
        return Call(f"{stem}_f32", f"itg_{stem}_f32", (*arguments, Buf(out.name), params), overlaps=over)
    file, function = kernel(stem, x)
    params = layer.params(f"{function}_params")
    return Call(file, function, (*arguments, *layer.factors, Buf(out.name), params), overlaps=over)


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
        y = requantize_wide(sums, *fifteen_bits(multiplier, shift))
    else:
        y = requantize(sums, multiplier, shift) + out.zero_point
    return clamp_to(y, *activation_range(activation, out), out.dtype)


def macs_of(weights: Tensor, positions: int) -> int:
    """Multiply-accumulates when each weight is used once at each of `positions`."""
    return math.prod(weights.shape) * positions


def weighted_channels(ins: Ins, outs: Outs, axis: int, made: Array, ties: ChannelTies) -> list[Array]:
    """The channels `made` by weights along their `axis`: those of the bias, and of the output along its last axis."""
    ties.cut(need(ins[1]), axis, made, "makes")
    ties.cut(ins[2] if len(ins) > 2 else None, 0, made)
    shape = outs[0].shape
    return [ties.spread(made, shape, len(shape) - 1)]
