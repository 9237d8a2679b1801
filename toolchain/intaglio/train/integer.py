"""The integer arithmetic of the device on torch tensors, many samples at once and with gradients.

A quantized tensor is held as its integers less the zero point, in float32, which holds them exactly. A node gives what
its operator's `reference` gives, to the bit. Its gradient is that of the operator's float `forward` at the real values
of the integers, straight through the rounding, and zero where the result was clamped (Bengio et al. 2013; Jacob et al.,
CVPR 2018, section 3).

`growth` arguments are for learned ranges: None, or the logarithm of a factor on a tensor's scale. Its gradient is that
of Learned Step Size Quantization (Esser et al., ICLR 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ..graph import DTYPES, INT_RANGE, Array, DTypeName, Node, Quant, Tensor
from ..ops.activation import activation_range
from ..ops.base import Op, arr, need
from ..ops.fixed import requantize
from ..ops.float32 import is_float
from ..ops.movement import alike
from ..ops.weighted import channel_multipliers

EXACT_FLOAT32 = 1 << 24
"""Sums of integers stay exact in float32, in any order, while no partial sum can reach this."""
EXACT_SHIFT = 12
"""Up to this right shift, float64 requantizes exactly: see `_scaled`."""
CHUNK = 1 << 15
"""Elements that are requantized together: their float64 values stay in the cache."""


def run_node(
    node: Node, ins: Sequence[Tensor | None], outs: Sequence[Tensor], xs: list[Any], growth: Any, training: bool
) -> list[Any]:
    """The outputs of a node of a quantized (or partly quantized) graph.

    Args:
        ins, outs: its tensors, with the number of samples in place of a leading 1.
        xs: their values: integers less the zero point, or floats; None for an absent input.
        growth: of the first output, see above.
        training: floats are computed by `forward`; otherwise by `reference`, which rounds like NumPy's interpreter.
    """
    op = node.op
    if op.requantizes and outs[0].dtype == "float32":
        return [xs[0] * need(ins[0]).scale]
    if op.requantizes and need(ins[0]).dtype == "float32":
        return [entered(xs[0], outs[0], growth)]
    if is_float(ins, outs):
        return _listed(op.forward(*xs)) if training else _by_reference(op, ins, outs, xs, None)
    if op.weighted and need(ins[0]).dtype == outs[0].dtype == "int8":
        return [_weighted(op, ins, outs[0], xs, growth)]
    if op.forward_is_exact and all(t is not None and alike(t, outs[0]) for t in (*ins, *outs)):
        return _listed(op.forward(*xs))
    if op.pointwise and len(ins) == 1 and outs[0].dtype != "int16" and need(ins[0]).dtype != "int16":
        return [_unary(op, need(ins[0]), outs[0], xs[0], growth)]
    if op.pointwise and len(ins) == 2 and {t.dtype for t in (*ins, *outs) if t is not None} == {"int8"}:
        return [_binary(op, need(ins[0]), need(ins[1]), outs[0], xs, growth)]
    return _by_reference(op, ins, outs, xs, growth)


# ---- values that enter ------------------------------------------------------------------------------------------


def entered(x: Any, t: Tensor, growth: Any) -> Any:
    """Real values as the integers of `t`, less the zero point: QUANTIZE from float, halves away from zero."""
    # A tensor as the divisor: a plain number may be turned into a multiplication by its inverse.
    real = x.float() / torch.tensor([t.scale], dtype=torch.float32, device=x.device)
    low, high = (v - t.zero_point for v in INT_RANGE[t.dtype])
    with torch.no_grad():
        clamped = real.clamp(low, high).double()
        value = (clamped.abs() + 0.5).floor().copysign(clamped).float()
    return _Straight.apply(real, value, low, high, growth)


def constant_value(t: Tensor, real: Any) -> Any:
    """A constant of the integer graph, made of the float tensor `real`: its integers less the zero point."""
    if t.dtype == "float32":
        return real
    assert t.data is not None and t.quant is not None
    along = [-1 if d == t.quant.axis else 1 for d in range(len(t.shape))] if t.quant.axis is not None else [1]
    # Biases have 32 bits.
    dtype = torch.float64 if t.dtype == "int32" else torch.float32
    zero = np.array(t.quant.zero_point).reshape(along)
    value = torch.tensor(t.data.astype(np.int64) - zero, dtype=dtype, device=real.device)
    scale = torch.tensor(t.quant.scale, dtype=torch.float64, device=real.device).reshape(along)
    return _Constant.apply(real, value, scale)


# ---- the operators ----------------------------------------------------------------------------------------------


def _weighted(op: Op, ins: Sequence[Tensor | None], out: Tensor, xs: list[Any], growth: Any) -> Any:
    """A convolution or fully connected layer: exact sums by PyTorch's own kernels, requantized."""
    x, w = need(ins[0]), need(ins[1])
    low, high = INT_RANGE[x.dtype]
    axis = op.out_axis
    data = np.abs(arr(w.data).astype(np.int64))
    others = tuple(d for d in range(data.ndim) if d != axis)
    bound = data.sum(axis=others) * max(x.zero_point - low, high - x.zero_point)
    bias = ins[2] if len(ins) > 2 else None
    if bias is not None:
        bound = bound + np.abs(arr(bias.data).astype(np.int64))
    exact = int(bound.max()) < EXACT_FLOAT32 and _float32_is_float32(xs[0])
    dtype = torch.float32 if exact else torch.float64
    linear = replace(op, activation="none")  # type: ignore[call-arg]
    sums = linear.forward(*(None if v is None else v.to(dtype) for v in xs))
    multiplier, shift = channel_multipliers(x, w, out, w.shape[axis])
    ends = activation_range(op.clamp, out)
    factors = (multiplier.astype(np.int64), shift.astype(np.int64))
    return _Requantize.apply(sums, factors, ends[0] - out.zero_point, ends[1] - out.zero_point, growth)


def _float32_is_float32(x: Any) -> bool:
    """Whether PyTorch computes float32 sums in float32: not in fewer bits because someone allowed that, and not by
    Winograd's algorithm (NNPACK, cuDNN), whose intermediate results are no integers."""
    mkldnn = torch.backends.mkldnn
    precisions = [getattr(getattr(mkldnn, k, None), "fp32_precision", "none") for k in ("conv", "matmul")]
    plain = torch.get_float32_matmul_precision() == "highest" and all(p in ("none", "ieee") for p in precisions)
    return plain and x.device.type == "cpu" and mkldnn.is_available() and mkldnn.enabled


def _unary(op: Op, x: Tensor, out: Tensor, value: Any, growth: Any) -> Any:
    low = INT_RANGE[x.dtype][0]
    table = _unary_table(op, x.dtype, _quant(x), out.dtype, _quant(out)).to(value.device)
    at = (value.detach() + (x.zero_point - low)).to(torch.int32).reshape(-1)
    exact = table.index_select(0, at).reshape(value.shape)
    return _straight(op.forward(value * x.scale), exact, out, growth)


def _binary(op: Op, a: Tensor, b: Tensor, out: Tensor, xs: list[Any], growth: Any) -> Any:
    low, high = INT_RANGE["int8"]
    table = _binary_table(op, _quant(a), _quant(b), _quant(out)).to(xs[0].device)
    rows = (xs[0].detach() + (a.zero_point - low)) * (high - low + 1) + (xs[1].detach() + (b.zero_point - low))
    exact = table.index_select(0, rows.to(torch.int32).reshape(-1)).reshape(rows.shape)
    return _straight(op.forward(xs[0] * a.scale, xs[1] * b.scale), exact, out, growth)


@lru_cache(maxsize=64)
def _unary_table(op: Op, x_type: DTypeName, x_quant: Quant, out_type: DTypeName, out_quant: Quant) -> Any:
    """The results for each of the 256 integers: the operator's own reference, once."""
    every = np.arange(INT_RANGE[x_type][0], INT_RANGE[x_type][1] + 1).astype(DTYPES[x_type])
    x, out = Tensor("x", every.shape, x_type, x_quant), Tensor("y", every.shape, out_type, out_quant)
    return torch.tensor(op.reference([every], [x], [out])[0].astype(np.float32) - out.zero_point)


@lru_cache(maxsize=64)
def _binary_table(op: Op, a_quant: Quant, b_quant: Quant, out_quant: Quant) -> Any:
    """The results for each of the 65,536 pairs, the second integer running faster."""
    every = np.arange(-128, 128).astype(np.int8)
    a, b = Tensor("a", (256, 1), "int8", a_quant), Tensor("b", (1, 256), "int8", b_quant)
    out = Tensor("y", (256, 256), "int8", out_quant)
    found = op.reference([every[:, None], every[None]], [a, b], [out])[0]
    return torch.tensor(found.astype(np.float32).ravel() - out.zero_point)


def _by_reference(
    op: Op, ins: Sequence[Tensor | None], outs: Sequence[Tensor], xs: list[Any], growth: Any
) -> list[Any]:
    """Any operator: values by its NumPy reference, gradients by its `forward`."""
    arrays: list[Array | None] = []
    reals: list[Any] = []
    for t, x in zip(ins, xs, strict=True):
        if t is None or x is None:
            arrays.append(None)
            reals.append(None)
            continue
        zero = 0 if t.dtype == "float32" or t.quant is None else t.zero_point
        arrays.append((x.detach() + zero).cpu().numpy().astype(DTYPES[t.dtype]))
        reals.append(x if t.dtype == "float32" else (x * t.scale).float())
    exact = op.reference(arrays, ins, outs)
    found: list[Any] = []
    for t, real, y in zip(outs, _listed(op.forward(*reals)), exact, strict=True):
        if t.dtype == "float32":
            found.append(_Straight.apply(real, torch.tensor(y, device=real.device), -math.inf, math.inf, None))
        else:
            value = torch.tensor(y.astype(np.float32) - t.zero_point, device=real.device)
            found.append(_straight(real, value, t, growth))
    return found


def _straight(real: Any, value: Any, t: Tensor, growth: Any) -> Any:
    """`value`, the integers of t less the zero point, with the gradient of the real result."""
    low, high = (v - t.zero_point for v in INT_RANGE[t.dtype])
    return _Straight.apply(real / t.scale, value, low, high, growth)


def _quant(t: Tensor) -> Quant:
    assert t.quant is not None
    return t.quant


def _listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, tuple | list) else [found]


# ---- rounding ---------------------------------------------------------------------------------------------------


class _Straight(torch.autograd.Function):  # type: ignore[misc]
    """(soft, value): gives `value`, and its gradient to `soft` where rounding `soft` stays within low..high."""

    @staticmethod
    def forward(ctx: Any, soft: Any, value: Any, low: float, high: float, growth: Any) -> Any:
        inside = (soft >= low - 0.5) & (soft <= high + 0.5)
        learns = growth is not None and ctx.needs_input_grad[4]
        rest = value - torch.where(inside, soft, 0.0).to(value.dtype) if learns else None
        ctx.save_for_backward(inside, rest)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        inside, rest = ctx.saved_tensors
        return gradient * inside, None, None, None, _growth_gradient(gradient, rest)


class _Requantize(torch.autograd.Function):  # type: ignore[misc]
    """Exact integer sums [..., channels] -> output integers less the zero point, within low..high."""

    @staticmethod
    def forward(ctx: Any, sums: Any, factors: tuple[Array, Array], low: int, high: int, growth: Any) -> Any:
        multiplier, shift = factors
        factor = torch.tensor(multiplier * 2.0 ** (shift - 31.0), dtype=torch.float64, device=sums.device)
        rows = sums.reshape(-1, sums.shape[-1])
        value = torch.empty(rows.shape, dtype=torch.float32, device=sums.device)
        inside = torch.empty(rows.shape, dtype=torch.bool, device=sums.device)
        learns = growth is not None and ctx.needs_input_grad[4]
        rest = torch.empty_like(value) if learns else None
        size = max(1, CHUNK // rows.shape[1])
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            integers = _scaled(rows[part], factor, multiplier, shift)
            inside[part] = (integers >= low) & (integers <= high)
            value[part] = integers.clamp_(low, high)
            if rest is not None:
                rest[part] = value[part] - rows[part] * factor * inside[part]
        ctx.save_for_backward(inside, factor.to(sums.dtype), rest)
        return value.reshape(sums.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        inside, factor, rest = ctx.saved_tensors
        rows = gradient.reshape(inside.shape)
        to_sums = (rows * inside).mul_(factor).reshape(gradient.shape) if ctx.needs_input_grad[0] else None
        return to_sums, None, None, None, _growth_gradient(rows, rest)


class _Constant(torch.autograd.Function):  # type: ignore[misc]
    """(real, value, scale): gives `value`, and its gradient to `real` where value is real / scale rounded."""

    @staticmethod
    def forward(ctx: Any, real: Any, value: Any, scale: Any) -> Any:
        # Off by more than a half: clamped. The scale of a bias is a rounded product, which shows in large ones.
        inside = (real / scale - value).abs() <= 0.5 + value.abs() * 2.0**-22
        ctx.save_for_backward(inside, scale)
        ctx.dtype = real.dtype
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        inside, scale = ctx.saved_tensors
        return (gradient * inside / scale).to(ctx.dtype), None, None


def _growth_gradient(gradient: Any, rest: Any) -> Any:
    """Of the logarithm of the scale: the sum of gradient times (rounded - unrounded), or times the bound reached.

    Made smaller as the paper has it, for one scale moves with the sum over all of its tensor."""
    if rest is None:
        return None
    return (gradient * rest).sum() / math.sqrt(127 * rest.numel())


def _scaled(sums: Any, factor: Any, multiplier: Array, shift: Array) -> Any:
    """`ops.fixed.requantize` of integer sums [n, channels] in floats -> integers in float64, of any size.

    Both its roundings in one: y = floor(z + 1/2 +- 2**-(right + 1)), with z = sum * factor and the sign of z, where
    nothing is shifted left; with a left shift, floor(z + 1/2). For results below 2**9, float64 errs by less than
    2**-43 in this, and z + 1/2 + 2**-(right + 1) is a multiple of 2**-(31 + right): exact up to EXACT_SHIFT.
    Larger results stay large, and are clamped.
    """
    right = np.maximum(-shift, 0)
    if right.max() > EXACT_SHIFT:
        y = requantize(sums.cpu().numpy().astype(np.int64), multiplier, shift)
        return torch.tensor(y, dtype=torch.float64, device=sums.device)
    edge = np.where(right > 0, 2.0 ** -(right + 1.0), 0.0)
    z = sums * factor
    return z.add_(torch.tensor(edge, device=sums.device).copysign(z)).add_(0.5).floor_()
