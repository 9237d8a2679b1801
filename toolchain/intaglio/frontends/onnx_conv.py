"""ONNX operators with windows or weights: convolutions, pooling, matrix products, batch normalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..ops.add import Add
from ..ops.base import Refuse
from ..ops.window import MAX_SIDE, Pads, Pair, out_size, same_pads
from . import layers, layers_product
from .layout import Builder, Const, Value
from .onnx_ops import Handler, OnnxCall, Result


def spatial(b: Builder, v: Value) -> Value:
    """(n, c, h, w), or (n, c, length) as maps of height 1."""
    if len(v.shape) == 3:
        return b.reshape(v, (*v.shape[:2], 1, v.shape[2]))
    if len(v.shape) != 4:
        raise Refuse(f"its input has the shape {v.shape}; three or four dimensions (n, c, h, w) are supported")
    return v


def like(b: Builder, c: OnnxCall, v: Value) -> Value:
    """The result with as many dimensions as the input has."""
    return v if len(c.value().shape) == 4 else b.reshape(v, (*v.shape[:2], v.shape[3]))


def _pair(c: OnnxCall, key: str, default: int = 1) -> Pair:
    """A list attribute of one number a spatial dimension; height 1 where there is only a length."""
    rank = len(c.value().shape) - 2
    found = c.attr(key, list, [default] * rank)
    if len(found) != rank or not all(0 <= n <= MAX_SIDE for n in found):
        raise Refuse(f"its {key} is {found[:16]}; {rank} numbers up to {MAX_SIDE} are expected")
    neutral = 0 if default == 0 else 1
    return (found[0], found[1]) if rank == 2 else (neutral, found[0])


def _explicit(c: OnnxCall) -> Pads:
    """The attribute pads: all the beginnings, then all the ends."""
    rank = len(c.value().shape) - 2
    p = c.attr("pads", list, [0] * (2 * rank))
    if len(p) != 2 * rank or not all(0 <= n <= MAX_SIDE for n in p):
        raise Refuse(f"its pads are {p[:16]}; {2 * rank} numbers up to {MAX_SIDE} are expected")
    return (p[0], p[2], p[1], p[3]) if rank == 2 else (0, 0, p[0], p[1])


def _pads(c: OnnxCall, hw: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    auto = c.attr("auto_pad", str, "NOTSET")
    if any(n < 1 for n in (*kernel, *stride, *dilation)):
        raise Refuse(f"kernel {kernel}, stride {stride}, dilation {dilation}: each must be 1 or more")
    if auto in ("NOTSET", ""):
        return _explicit(c)
    if auto == "VALID":
        return (0, 0, 0, 0)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise Refuse(f"its auto_pad is {auto}")
    top, bottom, left, right = same_pads(hw, kernel, stride, dilation)
    return (top, bottom, left, right) if auto == "SAME_UPPER" else (bottom, top, right, left)


def _weights(c: OnnxCall) -> Const:
    """[.][.][kh][kw], with kh 1 where there is only a length; kernel_shape must agree."""
    w = c.const(1)
    rank = len(c.value().shape)
    if w.array.ndim != rank or rank not in (3, 4):
        raise Refuse(f"weights {w.array.shape} do not fit an input {c.value().shape}")
    stated = c.attr("kernel_shape", list, None)
    if stated is not None and tuple(stated) != w.array.shape[2:]:
        raise Refuse(f"its kernel_shape {stated[:16]} is not that of its weights {w.array.shape}")
    return w if rank == 4 else replace(w, value=w.array[:, :, None])


def conv(b: Builder, c: OnnxCall) -> Result:
    v, w = spatial(b, c.value()), _weights(c)
    kernel, stride, dilation = (w.array.shape[2], w.array.shape[3]), _pair(c, "strides"), _pair(c, "dilations")
    pads = _pads(c, (v.shape[2], v.shape[3]), kernel, stride, dilation)
    groups = c.attr("group", int, 1)
    return like(b, c, layers.convolution(b, c.name, v, w, c.optional(2), stride, dilation, pads, groups))


def conv_transpose(b: Builder, c: OnnxCall) -> Result:
    v, w = spatial(b, c.value()), _weights(c)
    if c.attr("group", int, 1) != 1 or _pair(c, "dilations") != (1, 1):
        raise Refuse("it is grouped or dilated; neither is supported")
    if c.attr("auto_pad", str, "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in c.node.attrs:
        raise Refuse("it gives auto_pad or output_shape, which runtimes read in two ways; give pads and output_padding")
    stride, pads, extra = _pair(c, "strides"), _explicit(c), _pair(c, "output_padding", 0)
    kernel, hw = w.array.shape[2:], v.shape[2:]
    size = tuple((hw[k] - 1) * stride[k] + kernel[k] + extra[k] - pads[2 * k] - pads[2 * k + 1] for k in (0, 1))
    out = layers.transposed_convolution(b, c.name, v, w, c.optional(2), stride, (size[0], size[1]), (pads[0], pads[2]))
    return like(b, c, out)


def _windows(c: OnnxCall, v: Value) -> tuple[Pair, Pair, Pads]:
    """Kernel, stride and padding of a pooling; refuses what rounding up adds."""
    if _pair(c, "dilations") != (1, 1):
        raise Refuse("it is dilated, which is not supported")
    if any(c.node.outputs[1:]):
        raise Refuse("its indices are used, which are not computed")
    if "kernel_shape" not in c.node.attrs:
        raise Refuse("its kernel_shape is missing")
    kernel, stride = _pair(c, "kernel_shape"), _pair(c, "strides")
    hw = (v.shape[2], v.shape[3])
    pads = _pads(c, hw, kernel, stride, (1, 1))
    if "SAME" in c.attr("auto_pad", str, "") and any(
        (-(-n // s) - 1) * s + k - n < -1 for n, k, s in zip(hw, kernel, stride, strict=True)
    ):
        # The specification's formula gives a negative padding, and onnxruntime begins inside the input where it does.
        raise Refuse("its auto_pad leaves out pixels, which runtimes read in two ways; give pads, or slice before it")
    if c.attr("ceil_mode", int, 0):
        for n, k, s, (before, after) in zip(hw, kernel, stride, (pads[:2], pads[2:]), strict=True):
            if out_size(n, k, s, 1, before, after) != -(-(n + before + after - k) // s) + 1:
                raise Refuse("ceil_mode adds windows that reach beyond the padding; pad explicitly and leave it 0")
    return kernel, stride, pads


def max_pool(b: Builder, c: OnnxCall) -> Result:
    v = spatial(b, c.value())
    return like(b, c, layers.max_pool(b, c.name, v, *_windows(c, v)))


def average_pool(b: Builder, c: OnnxCall) -> Result:
    v = spatial(b, c.value())
    count_pads = bool(c.attr("count_include_pad", int, 0))
    return like(b, c, layers.avg_pool(b, c.name, v, *_windows(c, v), count_pads))


def global_average_pool(b: Builder, c: OnnxCall) -> Result:
    return like(b, c, layers.global_mean(b, c.name, spatial(b, c.value())))


def global_max_pool(b: Builder, c: OnnxCall) -> Result:
    return like(b, c, layers.global_max(b, c.name, spatial(b, c.value())))


def matmul(b: Builder, c: OnnxCall) -> Result:
    return layers_product.matmul(b, c.name, c.operand(0), c.operand(1))


def einsum(b: Builder, c: OnnxCall) -> Result:
    return layers_product.einsum(b, c.name, c.attr("equation", str, ""), c.operand(0), c.operand(1))


def gemm(b: Builder, c: OnnxCall) -> Result:
    v, w, bias = c.value(), c.const(1), c.optional(2)
    if c.attr("transA", int, 0) or w.array.ndim != 2 or len(v.shape) != 2:
        found = f"{v.shape}, transposed: {c.attr('transA', int, 0)}, and {w.array.shape}"
        raise Refuse(f"its factors are {found}; rows, not transposed, and a matrix are supported")
    w = w if c.attr("transB", int, 0) else w.permute(1, 0)
    alpha, beta = c.attr("alpha", float, 1.0), c.attr("beta", float, 1.0)
    if alpha != 1:
        w = Const(w.name, w.array * np.float32(alpha))
    if v.shape[-1] != w.array.shape[1]:
        raise Refuse(f"its factors {v.shape} and {_text(w.array.shape[::-1])} do not fit each other")
    if bias is None:
        return layers.linear(b, c.name, v, w, None)
    rows, out = v.shape[0], w.array.shape[0]
    if bias.array.ndim > 2 or any(d not in (1, n) for d, n in zip(bias.array.shape[::-1], (out, rows), strict=False)):
        raise Refuse(f"what it adds, {bias.array.shape}, does not fit its result {_text((rows, out))}")
    bias = Const(bias.name, bias.array * np.float32(beta), bias.quant if beta == 1 else None)
    if bias.array.shape[:-1] not in ((), (1,)):
        # Numbers that differ from row to row are no bias of a layer.
        return layers.binary(b, c.name, Add(), layers.linear(b, f"{c.name}_product", v, w, None), bias)
    vector = np.broadcast_to(bias.array.ravel(), (out,)).copy()
    return layers.linear(b, c.name, v, w, Const(bias.name, vector, bias.quant))


def _text(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"


def batch_normalization(b: Builder, c: OnnxCall) -> Result:
    if c.attr("training_mode", int, 0):
        raise Refuse("it normalizes by the batch's own statistics; export the model in evaluation mode")
    v = c.value()
    vectors = (c.const(1), c.const(2), c.const(3), c.const(4))
    if len(v.shape) < 2 or any(t.array.shape != v.shape[1:2] for t in vectors):
        raise Refuse(f"its statistics do not fit the channels of {v.shape}")
    epsilon = c.attr("epsilon", float, 1e-5)
    if not (vectors[3].array.astype(np.float64) + epsilon > 0).all():
        raise Refuse("one of its variances is negative")
    return layers.batch_norm(b, c.name, v, vectors, epsilon)


HANDLERS: dict[str, Handler] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "MatMul": matmul,
    "Einsum": einsum,
    "Gemm": gemm,
    "BatchNormalization": batch_normalization,
}
SELECTIONS: dict[str, Handler] = {"MaxPool": max_pool, "GlobalMaxPool": global_max_pool}
"""Operators that pick elements: like those that move them, they take quantized integers as they take floats."""
