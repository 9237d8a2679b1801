"""What the PyTorch and the ONNX front end build alike: one function a kind of layer, from Values to Values.

Each takes a Builder and the name of the node to add, and raises Refuse with the reason where a use is not supported.
Dimensions are those of the module (n, c, h, w); pads are (top, bottom, left, right).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..ops.abs import Abs
from ..ops.add import Add
from ..ops.average_pool2d import AveragePool2D
from ..ops.base import Op, Refuse
from ..ops.batch_norm import BatchNorm
from ..ops.concatenation import Concatenation
from ..ops.conv2d import Conv2D
from ..ops.depthwise_conv2d import DepthwiseConv2D
from ..ops.div import Div
from ..ops.float32 import LARGEST
from ..ops.fully_connected import FullyConnected
from ..ops.leaky_relu import LeakyRelu
from ..ops.max_pool2d import MaxPool2D
from ..ops.maximum import Maximum
from ..ops.mean import Mean
from ..ops.minimum import Minimum
from ..ops.mul import Mul
from ..ops.pad import Pad
from ..ops.prelu import PRelu
from ..ops.reduce_sum import ReduceSum
from ..ops.reduction import Reduction
from ..ops.relu import Relu
from ..ops.rsqrt import Rsqrt
from ..ops.softmax import Softmax
from ..ops.split import Split
from ..ops.sqrt import Sqrt
from ..ops.square import Square
from ..ops.strided_slice import ALL, StridedSlice
from ..ops.transpose_conv import TransposeConv
from ..ops.window import Pads, Pair
from .layout import NHWC, Builder, Const, Shape, Value, identity

Operand = Value | Const | float
"""What an element-by-element operator takes."""


# ---- element by element ------------------------------------------------------------------------------------------


def unary(b: Builder, name: str, op: Op, v: Value) -> Value:
    """An operator that looks at one element at a time keeps any layout."""
    [out] = b.node(name, op, [v.name])
    return Value(out, v.shape, v.perm, v.flat_of)


def binary(b: Builder, name: str, op: Op, x: Operand, y: Operand) -> Value:
    """Broadcasting as in NumPy, in whichever layout the larger value has."""
    x, y = (v if isinstance(v, Value | Const) else _scalar(v) for v in (x, y))
    values = [v for v in (x, y) if isinstance(v, Value)]
    if len({(v.shape, v.flat_of) for v in values}) > 1 or any(isinstance(c, Const) and _is_map(c) for c in (x, y)):
        x, y = (b.settle(v) if isinstance(v, Value) else v for v in (x, y))
    rank = max(v.array.ndim if isinstance(v, Const) else len(v.shape) for v in (x, y))
    x, y = (_lift(b, v, rank) if isinstance(v, Value) else v for v in (x, y))
    largest = max((v for v in (x, y) if isinstance(v, Value)), key=lambda v: math.prod(v.shape))
    names: list[str] = []
    shapes: list[Shape] = []
    for v in (x, y):
        if isinstance(v, Const):
            names.append(b.const_like(v, largest))
            shapes.append((1,) * (rank - v.array.ndim) + v.array.shape)
        else:
            if v.flat_of is None:
                v = b.arrange(v, largest.perm)
            names.append(v.name)
            shapes.append(v.shape)
    [out] = b.node(name, op, names)
    shape = tuple(max(pair) for pair in zip(*shapes, strict=True))
    return Value(out, shape, largest.perm, largest.flat_of)


def _scalar(v: float) -> Const:
    text = f"scalar_{v:g}".replace("-", "minus_").replace(".", "_").replace("+", "")
    return Const(text, np.array(v, np.float32))


def _is_map(c: Const) -> bool:
    """Whether it has more than one element along dimensions that a flattening merges."""
    return c.array.ndim > 2 or (c.array.ndim == 2 and c.array.shape[0] > 1)


def _lift(b: Builder, v: Value, rank: int) -> Value:
    return v if len(v.shape) == rank else b.reshape(b.settle(v), (1,) * (rank - len(v.shape)) + v.shape)


def divided(b: Builder, name: str, x: Operand, by: Operand) -> Value:
    """By a constant, a product with the inverse."""
    if isinstance(by, Value):
        return binary(b, name, Div(), x, by)
    divisor = by.array if isinstance(by, Const) else np.asarray(by)
    if divisor.dtype.kind not in "iuf" or not divisor.all():
        raise Refuse("it divides by zero, or by no numbers")
    inverse = Const(by.name, 1.0 / by.array) if isinstance(by, Const) else 1.0 / by
    return binary(b, name, Mul(), x, inverse)


def power(b: Builder, name: str, v: Value, exponent: float) -> Value:
    """To the exponents that are products, roots and quotients."""
    match exponent:
        case 1:
            return v
        case 2:
            return square(b, name, v)
        case 3:
            return binary(b, name, Mul(), square(b, f"{name}_square", v), v)
        case 4:
            return square(b, name, square(b, f"{name}_square", v))
        case 0.5:
            return unary(b, name, Sqrt(), v)
        case -0.5:
            return unary(b, name, Rsqrt(), v)
        case -1:
            return divided(b, name, 1.0, v)
    raise Refuse(f"its exponent is {exponent:g}; -1, -0.5, 0.5, 1, 2, 3 and 4 are supported")


def prelu(b: Builder, name: str, v: Value, slopes: Const) -> Value:
    """`slopes` broadcast to `v` as in NumPy; one for everything is a LEAKY_RELU."""
    if slopes.array.size == 1:
        return unary(b, name, LeakyRelu(float(slopes.array.item())), v)
    return binary(b, name, PRelu(), v, slopes)


def hard_sigmoid(b: Builder, name: str, x: Value) -> Value:
    """relu6(x + 3) / 6 (Howard et al., MobileNetV3, 2019)."""
    return binary(b, name, Mul(), binary(b, f"{name}_shifted", Add("relu6"), x, 3.0), 1.0 / 6.0)


def clamped(b: Builder, name: str, v: Value, low: float | None, high: float | None) -> Value:
    """The fused activation there is for it, else MAXIMUM and MINIMUM."""
    for bounds, activation in (((0, None), "relu"), ((0, 6), "relu6"), ((-1, 1), "relu_n1_to_1")):
        if (low, high) == bounds:
            return unary(b, name, Relu(activation), v)  # type: ignore[arg-type]
    if low is not None:
        v = binary(b, name if high is None else f"{name}_low", Maximum(), v, low)
    return v if high is None else binary(b, name, Minimum(), v, high)


# ---- shapes ------------------------------------------------------------------------------------------------------


def cut(b: Builder, name: str, v: Value, dim: int, start: int, count: int, step: int) -> Value:
    """`count` elements along `dim`, from `start` on in steps."""
    v = b.settle(v)
    at = v.perm.index(dim)
    begin = tuple(start if p == at else 0 for p in range(len(v.perm)))
    stride = tuple(step if p == at else 1 for p in range(len(v.perm)))
    size = tuple(count if p == at else ALL for p in range(len(v.perm)))
    [out] = b.node(name, StridedSlice(begin, size, stride), [v.name])
    return b.value(out, v.perm)


def split(b: Builder, name: str, v: Value, dim: int, sizes: Sequence[int]) -> tuple[Value, ...]:
    v = b.settle(v)
    if len(sizes) == 1:
        return (v,)
    outs = b.node(name, Split(v.perm.index(dim), tuple(sizes)), [v.name])
    return tuple(b.value(o, v.perm) for o in outs)


def concatenated(b: Builder, name: str, parts: Sequence[Value | Const], dim: int) -> Value:
    """At least one part is a Value; a negative `dim` counts from the last."""
    parts = [b.settle(v) if isinstance(v, Value) else v for v in parts]
    first = max((v for v in parts if isinstance(v, Value)), key=lambda v: math.prod(v.shape))
    names = [b.const_like(v, first) if isinstance(v, Const) else b.arrange(v, first.perm).name for v in parts]
    [out] = b.node(name, Concatenation(first.perm.index(dim % len(first.shape))), names)
    return b.value(out, first.perm)


def padded(b: Builder, name: str, v: Value, pairs: Sequence[tuple[int, int]], fill: float) -> Value:
    """`pairs` of elements to add before and after, one a dimension."""
    v = b.settle(v)
    if any(p < 0 for pair in pairs for p in pair):
        raise Refuse(f"its padding {list(pairs)} is negative; crop with a slice instead")
    if len(v.shape) == 3 and fill <= -LARGEST:
        # For a pool behind it, which is one of maps: that takes this padding as its own.
        maps = image(b, b.reshape(v, (*v.shape[:2], 1, v.shape[2])))
        found = padded(b, name, maps, (*pairs[:2], (0, 0), pairs[2]), fill)
        return b.reshape(found, (*found.shape[:2], found.shape[3]))
    [out] = b.node(name, Pad(tuple((pairs[p][0], pairs[p][1]) for p in v.perm), fill), [v.name])
    return b.value(out, v.perm)


# ---- over windows and dimensions ---------------------------------------------------------------------------------


def image(b: Builder, v: Value, what: str = "value") -> Value:
    """A 4-D value, stored NHWC."""
    if len(v.shape) != 4:
        raise Refuse(f"its {what} has the shape {v.shape}; four dimensions (n, c, h, w) are supported")
    return b.arrange(v, NHWC)


def max_pool(b: Builder, name: str, v: Value, kernel: Pair, stride: Pair, pads: Pads) -> Value:
    [out] = b.node(name, MaxPool2D(kernel, stride, pads), [image(b, v).name])
    return b.value(out, NHWC)


def avg_pool(b: Builder, name: str, v: Value, kernel: Pair, stride: Pair, pads: Pads, count_pads: bool) -> Value:
    """The mean of each window; `count_pads` counts the zeros around the input as elements."""
    source = image(b, v).name
    if any(pads) and count_pads:
        # TFLite leaves padding out of the count, so zeros that count have to be elements.
        pairs = ((0, 0), (pads[0], pads[1]), (pads[2], pads[3]), (0, 0))
        [source] = b.node(f"{name}_padded", Pad(pairs), [source])
        pads = (0, 0, 0, 0)
    [out] = b.node(name, AveragePool2D(kernel, stride, pads), [source])
    return b.value(out, NHWC)


def global_mean(b: Builder, name: str, v: Value) -> Value:
    """Of each channel, to 1 x 1."""
    [out] = b.node(name, Mean((1, 2), True), [image(b, v).name])
    return b.value(out, NHWC)


def global_max(b: Builder, name: str, v: Value) -> Value:
    """Of each channel, to 1 x 1."""
    hw = (v.shape[2], v.shape[3]) if len(v.shape) == 4 else (1, 1)
    return max_pool(b, name, v, hw, hw, (0, 0, 0, 0))


def over_dimensions(b: Builder, name: str, kind: type[Reduction], v: Value, dims: set[int], keep: bool) -> Value:
    """MEAN, SUM, REDUCE_MAX or REDUCE_MIN over dimensions of the module."""
    v = b.settle(v)
    if 0 in dims:
        raise Refuse("it reduces the batch")
    if not dims:
        return v
    axes = tuple(sorted(v.perm.index(d) for d in dims))
    [out] = b.node(name, kind(axes, keep), [v.name])
    if keep:
        return b.value(out, v.perm)
    left = sorted(set(range(len(v.shape))) - dims)
    return b.value(out, tuple(left.index(p) for p in v.perm if p not in dims))


def square(b: Builder, name: str, v: Value) -> Value:
    return unary(b, name, Square(), v)


def norm_of(b: Builder, name: str, v: Value, dims: set[int], keep: bool, order: int) -> Value:
    """The sum of magnitudes (`order` 1) or the Euclidean length (2) along dimensions."""
    if order == 1:
        return over_dimensions(b, name, ReduceSum, unary(b, f"{name}_abs", Abs(), v), dims, keep)
    total = over_dimensions(b, f"{name}_sum", ReduceSum, square(b, f"{name}_square", v), dims, keep)
    return unary(b, name, Sqrt(), total)


def softmax(b: Builder, name: str, v: Value, dim: int) -> Value:
    if dim == 0:
        raise Refuse("it normalizes over the batch")
    v = b.channels_last(v, dim)
    [out] = b.node(name, Softmax(), [v.name])
    return b.value(out, v.perm)


# ---- with weights ------------------------------------------------------------------------------------------------


def convolution(
    b: Builder,
    name: str,
    v: Value,
    weights: Const,
    bias: Const | None,
    stride: Pair,
    dilation: Pair,
    pads: Pads,
    groups: int,
) -> Value:
    """Weights [out_c][in_c / groups][kh][kw]."""
    v = image(b, v, "input")
    if weights.array.ndim != 4 or weights.array.shape[1] * groups != v.shape[1]:
        raise Refuse(f"weights {weights.array.shape} in {groups} groups do not fit an input {v.shape}")
    if weights.array.shape[1] == 1 and groups > 1:
        # Filter i of torch belongs to input channel i / multiplier, as in TFLite.
        op: Op = DepthwiseConv2D(stride, dilation, pads)
        weights = weights.permute(1, 2, 3, 0)
    else:
        op = Conv2D(stride, dilation, pads)
        weights = weights.permute(0, 2, 3, 1)
    [out] = b.node(name, op, [v.name, *_parameters(b, weights, bias)])
    return b.value(out, NHWC)


def transposed_convolution(
    b: Builder, name: str, v: Value, weights: Const, bias: Const | None, stride: Pair, size: Pair, cut_off: Pair
) -> Value:
    """Weights [in_c][out_c][kh][kw]; `cut_off` rows and columns go from the top and left of the result, `size` is
    what is kept of the rest."""
    v = image(b, v, "input")
    if weights.array.ndim != 4:
        raise Refuse(f"its weights have the shape {weights.array.shape}; four dimensions are supported")
    op = TransposeConv(size, stride, cut_off)
    [out] = b.node(name, op, [v.name, *_parameters(b, weights.permute(1, 2, 3, 0), bias)])
    return b.value(out, NHWC)


def _parameters(b: Builder, weights: Const, bias: Const | None) -> list[str]:
    return [b.const(weights)] if bias is None else [b.const(weights), b.const(bias)]


def linear(b: Builder, name: str, v: Value, weights: Const, bias: Const | None) -> Value:
    """Weights [out_c][in_c], along the last dimension of `v`."""
    if v.flat_of is not None:
        # The elements lie in the order of the value before the flattening; the columns are put in the same order.
        shape, perm = v.flat_of
        rows = weights.array.shape[0]
        columns = weights.array.reshape(rows, *shape).transpose(0, *(p + 1 for p in perm))
        weights = replace(weights, value=columns.reshape(rows, -1))
    else:
        v = b.arrange(v, identity(v.shape))
    [out] = b.node(name, FullyConnected(keep_num_dims=len(v.shape) != 2), [v.name, *_parameters(b, weights, bias)])
    return b.value(out, v.perm)


def batch_norm(
    b: Builder, name: str, v: Value, vectors: tuple[Const | None, Const | None, Const, Const], epsilon: float
) -> Value:
    """`vectors` are gamma, beta, mean and variance [c]; gamma may be absent for ones and beta for zeros."""
    gamma, beta, mean_, variance = vectors
    gamma = gamma or Const(f"{name}_gamma", np.ones(mean_.array.shape, np.float32))
    beta = beta or Const(f"{name}_beta", np.zeros(mean_.array.shape, np.float32))
    stats = (gamma, beta, mean_, variance)
    if v.flat_of is None:
        v = b.channels_last(v, 1)
    else:
        shape, perm = v.flat_of
        stats = tuple(Const(t.name, t.array.reshape(shape).transpose(perm).reshape(-1)) for t in stats)  # type: ignore[assignment]
    [out] = b.node(name, BatchNorm(epsilon), [v.name, *map(b.const, stats)])
    return Value(out, v.shape, v.perm, v.flat_of)
