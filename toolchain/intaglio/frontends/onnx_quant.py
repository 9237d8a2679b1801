"""Quantized ONNX: QuantizeLinear, DequantizeLinear and the QLinear operators leave marks on float tensors.

A tensor that is marked carries its `Quant` while it is still float32: quantize/marked.py makes the integers. uint8
is int8 with everything shifted by 128, which changes no result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..graph import INT_RANGE, Array, Quant
from ..ops.add import Add
from ..ops.base import Refuse
from ..ops.logistic import Logistic
from ..ops.mul import Mul
from ..ops.reshape import Reshape
from . import layers
from .layout import Builder, Const, Value
from .onnx_conv import HANDLERS as CONVOLUTIONS
from .onnx_file import OnnxNode
from .onnx_ops import OnnxCall


@dataclass(frozen=True)
class Codes:
    """The integers of a quantized value: what lies between a QuantizeLinear and a DequantizeLinear.

    `quant` is None for an integer input of the model until something says what its numbers mean.
    """

    value: Value
    dtype: str
    quant: Quant | None


def _numbers(c: OnnxCall, scale: int, zero: int, dtype: str) -> tuple[Array, Array]:
    """Scales and zero points, flat: of int8 numbers even where the file has uint8."""
    s = c.const(scale).array
    z = c.const(zero).array if c.has(zero) else np.zeros(s.shape, dtype)
    if s.ndim > 1 or z.size != s.size or s.dtype.kind != "f" or not (np.isfinite(s) & (s > 0)).all():
        raise Refuse("its scales and zero points do not fit each other, or a scale is not positive and finite")
    low, high = INT_RANGE["int8" if dtype == "int8" else "int32"]
    zeros = z.ravel().astype(np.int64) - (128 if dtype == "uint8" else 0)
    if not ((zeros >= low) & (zeros <= high)).all():
        raise Refuse("a zero point is out of range")
    return s.ravel().astype(np.float32), zeros


def per_tensor(c: OnnxCall, scale: int, zero: int, dtype: str) -> Quant:
    """One scale and one zero point, for int8."""
    if dtype not in ("int8", "uint8"):
        raise Refuse(f"it is quantized to {dtype}; int8 and uint8 are supported")
    s, z = _numbers(c, scale, zero, dtype)
    if s.size != 1:
        raise Refuse(f"activations have {s.size} scales; one is supported")
    return Quant((float(s[0]),), (int(z[0]),))


def mark(b: Builder, name: str, v: Value, quant: Quant) -> Value:
    """The value on the grid of `quant`; a copy of its own where it has another mark already."""
    t = b.tensors[v.name]
    if t.quant is None:
        b.tensors[v.name] = replace(t, quant=quant)
        return v
    if t.quant == quant:
        return v
    [copy] = b.node(f"{name}_requantized", Reshape(t.shape), [v.name])
    b.tensors[copy] = replace(b.tensors[copy], quant=quant)
    return replace(v, name=copy)


def quantize_linear(b: Builder, c: OnnxCall) -> Codes | Const:
    if c.attr("block_size", int, 0):
        raise Refuse("it is quantized in blocks, which is not supported")
    dtype = c.const(2).array.dtype.name if c.has(2) else {0: "uint8", 2: "uint8", 3: "int8"}.get(
        c.attr("output_dtype", int, 0), "another type"
    )  # fmt: skip
    quant = per_tensor(c, 1, 2, dtype)
    if isinstance(c.ins[0], Const):
        shift = 128 if dtype == "uint8" else 0
        q = np.rint(c.ins[0].array.astype(np.float32) / np.float32(quant.scale[0])) + quant.zero_point[0]
        return Const(c.name, (np.clip(q, -128, 127) + shift).astype(dtype))
    return Codes(mark(b, c.name, c.value(), quant), dtype, quant)


def dequantize_linear(b: Builder, c: OnnxCall) -> Value | Const:
    if c.attr("block_size", int, 0):
        raise Refuse("it is quantized in blocks, which is not supported")
    if isinstance(c.ins[0], Const):
        return constant_of(c, 0, 1, 2, c.attr("axis", int, 1))
    return value_of(b, c, 0, 1, 2)


def value_of(b: Builder, c: OnnxCall, at: int, scale: int, zero: int) -> Value:
    """The real value of input `at`, Codes, marked with the quantization that the inputs `scale` and `zero` state."""
    codes = c.ins[at] if c.has(at) else None
    if not isinstance(codes, Codes):
        raise Refuse(f"its input {at} is not quantized")
    quant = per_tensor(c, scale, zero, codes.dtype)
    if codes.quant is None:
        return mark(b, c.name, codes.value, quant)
    if codes.quant != quant:
        raise Refuse("it reads integers with another scale or zero point than they were made with")
    return codes.value


def constant_of(c: OnnxCall, at: int, scale: int, zero: int, axis: int) -> Const:
    """The reals of input `at`, integer constants; they keep their quantization where it is int8's."""
    ints = c.const(at)
    dtype = ints.array.dtype.name
    if dtype not in ("int8", "uint8", "int32"):
        raise Refuse(f"it dequantizes constants of {dtype}; int8, uint8 and int32 are supported")
    s, z = _numbers(c, scale, zero, dtype)
    q = ints.array.astype(np.int64) - (128 if dtype == "uint8" else 0)
    along = [1] * q.ndim
    quant_axis = None
    if s.size > 1:
        quant_axis = axis % q.ndim if q.ndim else 0
        if q.ndim == 0 or q.shape[quant_axis] != s.size:
            raise Refuse(f"it has {s.size} scales along dimension {axis} of {q.shape}")
        along[quant_axis] = -1
    real = ((q - z.reshape(along)) * s.reshape(along).astype(np.float64)).astype(np.float32)
    if dtype == "int32":
        return Const(ints.name, real)
    quant = Quant(tuple(float(v) for v in s), tuple(int(v) for v in z), quant_axis)
    return Const(ints.name, real, quant)


def _linear_operator(c: OnnxCall, op: str, ins: tuple[Any, ...]) -> OnnxCall:
    """The float operator that a QLinear one is, on dequantized inputs."""
    node = OnnxNode(c.node.name, op, "", c.node.inputs, c.node.outputs, c.node.attrs)
    return OnnxCall(c.name, node, ins, c.opset)


def _result(b: Builder, c: OnnxCall, v: Value, scale: int, zero: int) -> Codes:
    dtype = c.const(zero).array.dtype.name if c.has(zero) else "uint8"
    quant = per_tensor(c, scale, zero, dtype)
    return Codes(mark(b, c.name, v, quant), dtype, quant)


def qlinear_conv(b: Builder, c: OnnxCall) -> Codes:
    """x, its scale and zero point, w likewise, those of y, and an int32 bias at scale x times w."""
    x, w = value_of(b, c, 0, 1, 2), constant_of(c, 3, 4, 5, 0)
    bias = None
    if c.has(8):
        steps = np.float64(c.scalar(1)) * c.const(4).array.ravel().astype(np.float64)
        bias = Const(c.const(8).name, (c.const(8).array * steps).astype(np.float32))
    out = CONVOLUTIONS["Conv"](b, _linear_operator(c, "Conv", (x, w, bias)))
    assert isinstance(out, Value)
    return _result(b, c, out, 6, 7)


def qlinear_matmul(b: Builder, c: OnnxCall) -> Codes:
    x, w = value_of(b, c, 0, 1, 2), constant_of(c, 3, 4, 5, 1)
    out = CONVOLUTIONS["MatMul"](b, _linear_operator(c, "MatMul", (x, w)))
    assert isinstance(out, Value)
    return _result(b, c, out, 6, 7)


def qlinear_add(b: Builder, c: OnnxCall) -> Codes:
    out = layers.binary(b, c.name, Add(), value_of(b, c, 0, 1, 2), value_of(b, c, 3, 4, 5))
    return _result(b, c, out, 6, 7)


def qlinear_mul(b: Builder, c: OnnxCall) -> Codes:
    out = layers.binary(b, c.name, Mul(), value_of(b, c, 0, 1, 2), value_of(b, c, 3, 4, 5))
    return _result(b, c, out, 6, 7)


def qlinear_sigmoid(b: Builder, c: OnnxCall) -> Codes:
    return _result(b, c, layers.unary(b, c.name, Logistic(), value_of(b, c, 0, 1, 2)), 3, 4)


def qlinear_global_average_pool(b: Builder, c: OnnxCall) -> Codes:
    if c.attr("channels_last", int, 0):
        raise Refuse("its channels are last; first is supported")
    return _result(b, c, layers.global_mean(b, c.name, value_of(b, c, 0, 1, 2)), 3, 4)


QuantHandler = Callable[[Builder, OnnxCall], Value | Const | Codes]
HANDLERS: dict[str, QuantHandler] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
}
MICROSOFT: dict[str, QuantHandler] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "QLinearAdd": qlinear_add,
    "QLinearMul": qlinear_mul,
    "QLinearSigmoid": qlinear_sigmoid,
    "QLinearGlobalAveragePool": qlinear_global_average_pool,
}
"""What onnxruntime's quantizer writes in its own domain, com.microsoft."""
