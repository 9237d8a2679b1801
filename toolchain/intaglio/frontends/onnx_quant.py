"""Quantized ONNX: QuantizeLinear, DequantizeLinear and the QLinear operators leave marks on float tensors.

A tensor that is marked carries its `Quant` while it is still float32: quantize/marked.py makes the integers. While the
model is read, what is rounded is a copy of its own; where nothing else reads the tensor, `merge_copies` marks the
tensor itself. uint8 is int8 with everything shifted by 128, which changes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..graph import INT_RANGE, Array, Node, Quant
from ..ops.base import Refuse
from ..ops.reshape import Reshape
from ..ops.transpose import Transpose
from ..quantize.marked import is_copy
from . import onnx_conv, onnx_norm, onnx_ops, onnx_resize
from .layout import Builder, Const, Value
from .onnx_file import OnnxNode
from .onnx_ops import Handler, OnnxCall

MOVES: dict[str, Handler] = {**onnx_ops.MOVES, **onnx_conv.SELECTIONS, **onnx_resize.HANDLERS}
"""Operators that pick or move elements, integers too."""
FLOAT: dict[str, Handler] = {**onnx_ops.ELEMENTWISE, **onnx_norm.HANDLERS, **onnx_conv.HANDLERS, **MOVES}
"""What translates each operator of the default domain on floats."""


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
    """The value rounded to the grid of `quant`: a copy, since others may read the value as it is."""
    t = b.tensors[v.name]
    if t.quant == quant:
        return v
    [copy] = b.node(f"{v.name}_q" if t.quant is None else f"{name}_requantized", Reshape(t.shape), [v.name])
    b.tensors[copy] = replace(b.tensors[copy], quant=quant)
    return replace(v, name=copy)


def merge_copies(b: Builder, inputs: Collection[str], outputs: Collection[str]) -> dict[str, str]:
    """Mark each tensor that all readers take on one grid, and drop the copies that `mark` made of it. A graph input is
    marked even where a reader takes it as it is: an int8 input lies on its grid already, so rounding changes nothing.
    `outputs` are the tensors that leave the graph. Returns: copy -> tensor. A copy is left where its tensor is marked
    otherwise, or is read in another way too.
    """
    live = set(outputs)
    readers: dict[str, list[Node]] = {}
    merged: dict[str, str] = {}
    for node in reversed(b.nodes):
        if not live.isdisjoint(node.outputs):
            live.update(node.inputs)
            for name in dict.fromkeys(node.inputs):
                readers.setdefault(name, []).append(node)
    for name in (*(o for node in reversed(b.nodes) for o in node.outputs), *inputs):
        copies = [n for n in readers.get(name, ()) if is_copy(n, b.tensors)]
        grids = {b.tensors[n.outputs[0]].quant if isinstance(n.op, Reshape | Transpose) else None
                 for n in readers.get(name, ())}  # fmt: skip
        if name in outputs:
            grids.add(None)
        if name in inputs:
            grids.discard(None)
        if copies and len(grids) == 1:
            b.tensors[name] = replace(b.tensors[name], quant=grids.pop())
            merged.update((n.outputs[0], name) for n in copies)
    b.nodes[:] = [replace(n, inputs=tuple(merged.get(i, i) for i in n.inputs))
                  for n in b.nodes if merged.keys().isdisjoint(n.outputs)]  # fmt: skip
    for copy in merged:
        del b.tensors[copy]
    return merged


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
        _state(b, codes.value.name, quant)
        return codes.value
    if codes.quant != quant:
        raise Refuse("it reads integers with another scale or zero point than they were made with")
    return codes.value


def _state(b: Builder, name: str, quant: Quant) -> None:
    """Mark an integer input of the model, or what was picked or moved from it, and all between."""
    t = b.tensors[name]
    if t.is_const or t.quant == quant:
        return
    if t.quant is not None:
        raise Refuse("the model's integer input is read with two scales or zero points; one is supported")
    b.tensors[name] = replace(t, quant=quant)
    for node in b.nodes:
        if name in node.outputs:
            for source in node.inputs:
                _state(b, source, quant)


def operand(b: Builder, c: OnnxCall, at: int) -> Value | Const:
    """The real value of input `at`, whose scale and zero point are the next two: Codes or integer constants."""
    if c.has(at) and isinstance(c.ins[at], Const):
        return constant_of(c, at, at + 1, at + 2, 0)
    return value_of(b, c, at, at + 1, at + 2)


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


def _linear(op: str, b: Builder, c: OnnxCall, ins: tuple[Any, ...], scale: int) -> Codes:
    """A QLinear operator: the float operator that it is, on the reals `ins`; inputs `scale` and the next say how its
    result is quantized."""
    node = OnnxNode(c.node.name, op, "", c.node.inputs, c.node.outputs, c.node.attrs)
    out = FLOAT[op](b, OnnxCall(c.name, node, ins, c.opset))
    if not isinstance(out, Value):
        raise Refuse("its result is a constant")
    dtype = c.const(scale + 1).array.dtype.name if c.has(scale + 1) else "uint8"
    quant = per_tensor(c, scale, scale + 1, dtype)
    return Codes(mark(b, c.name, out, quant), dtype, quant)


def _bias(c: OnnxCall, at: int) -> Const | None:
    """An int32 bias at scale x times w, those being inputs 1 and 4."""
    if not c.has(at):
        return None
    steps = np.float64(c.scalar(1)) * c.const(4).array.ravel().astype(np.float64)
    return Const(c.const(at).name, (c.const(at).array * steps).astype(np.float32))


def qlinear_conv(b: Builder, c: OnnxCall) -> Codes:
    """x, its scale and zero point, w likewise, those of y, and an int32 bias."""
    return _linear("Conv", b, c, (value_of(b, c, 0, 1, 2), constant_of(c, 3, 4, 5, 0), _bias(c, 8)), 6)


def qlinear_matmul(b: Builder, c: OnnxCall) -> Codes:
    return _linear("MatMul", b, c, (value_of(b, c, 0, 1, 2), constant_of(c, 3, 4, 5, 1)), 6)


def qgemm(b: Builder, c: OnnxCall) -> Codes:
    """Like QLinearConv, but the bias comes before the scale of y."""
    axis = 0 if c.attr("transB", int, 0) else 1
    return _linear("Gemm", b, c, (value_of(b, c, 0, 1, 2), constant_of(c, 3, 4, 5, axis), _bias(c, 6)), 7)


def qlinear_concat(b: Builder, c: OnnxCall) -> Codes:
    """The scale and zero point of y, then each input with its own."""
    return _linear("Concat", b, c, tuple(operand(b, c, at) for at in range(2, len(c.ins), 3)), 0)


def _unary(op: str) -> QuantHandler:
    return lambda b, c: _linear(op, b, c, (value_of(b, c, 0, 1, 2),), 3)


def _binary(op: str) -> QuantHandler:
    return lambda b, c: _linear(op, b, c, (operand(b, c, 0), operand(b, c, 3)), 6)


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
    "QGemm": qgemm,
    "QLinearAdd": _binary("Add"),
    "QLinearMul": _binary("Mul"),
    "QLinearConcat": qlinear_concat,
    "QLinearSigmoid": _unary("Sigmoid"),
    "QLinearLeakyRelu": _unary("LeakyRelu"),
    "QLinearSoftmax": _unary("Softmax"),
    "QLinearAveragePool": _unary("AveragePool"),
    "QLinearGlobalAveragePool": _unary("GlobalAveragePool"),
}
"""What onnxruntime's quantizer writes in its own domain, com.microsoft."""
