"""ONNX operators over dimensions: reductions, softmax and normalizations; and what onnx_idioms.py finds."""

from __future__ import annotations

import math

import numpy as np

from ..ops.add import Add
from ..ops.base import Refuse
from ..ops.mean import Mean
from ..ops.mul import Mul
from ..ops.reduce_max import ReduceMax
from ..ops.reduce_min import ReduceMin
from ..ops.reduce_sum import ReduceSum
from ..ops.reduction import Reduction
from ..ops.silu import Silu
from . import layers, layers_norm
from .layout import Builder, Const
from .onnx_fold import axes_of, axis_in, flattened, reshaped
from .onnx_ops import Handler, OnnxCall, Result


def _dims(c: OnnxCall) -> set[int]:
    """The dimensions to reduce; without axes all but the batch, which is 1. Empty where nothing is to be done."""
    rank = len(c.value().shape)
    axes = axes_of(c.node, c.arrays(), 0)
    if not axes:
        if c.attr("noop_with_empty_axes", int, 0):
            return set()
        if c.value().shape[0] != 1 or not c.attr("keepdims", int, 1):
            raise Refuse("it reduces the batch; name the axes")
        return set(range(1, rank))
    return {axis_in(a, rank) for a in axes}


def _reduction(kind: type[Reduction]) -> Handler:
    def run(b: Builder, c: OnnxCall) -> Result:
        return layers.over_dimensions(b, c.name, kind, c.value(), _dims(c), bool(c.attr("keepdims", int, 1)))

    return run


def _norm(order: int) -> Handler:
    def run(b: Builder, c: OnnxCall) -> Result:
        return layers.norm_of(b, c.name, c.value(), _dims(c), bool(c.attr("keepdims", int, 1)), order)

    return run


def reduce_max(b: Builder, c: OnnxCall) -> Result:
    """Over height and width a pooling, which every TFLite runtime has."""
    v, dims = c.value(), _dims(c)
    if len(v.shape) != 4 or dims != {2, 3} or v.shape[0] != 1:
        return _reduction(ReduceMax)(b, c)
    found = layers.global_max(b, c.name, v)
    return found if c.attr("keepdims", int, 1) else b.reshape(found, v.shape[:2])


def sum_square(b: Builder, c: OnnxCall) -> Result:
    squares = layers.square(b, f"{c.name}_square", c.value())
    return layers.over_dimensions(b, c.name, ReduceSum, squares, _dims(c), bool(c.attr("keepdims", int, 1)))


def softmax(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    axis = c.axis(len(v.shape), -1 if c.opset >= 13 else 1)
    if c.opset < 13 and math.prod(v.shape[axis + 1 :]) != 1:
        # Before operator set 13, everything from the axis on was normalized together.
        return b.reshape(layers.softmax(b, c.name, b.reshape(v, flattened(v.shape, axis)), 1), v.shape)
    return layers.softmax(b, c.name, v, axis)


def layer_normalization(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    dims = len(v.shape) - c.axis(len(v.shape), -1)
    scale, offset, epsilon = c.optional(1), c.optional(2), c.attr("epsilon", float, 1e-5)
    for t in (scale, offset):
        if t is not None and np.broadcast_shapes(t.array.shape, v.shape[-dims:]) != v.shape[-dims:]:
            raise Refuse(f"its scale or offset {t.array.shape} does not fit {v.shape[-dims:]}")
    return layers_norm.layer_norm(b, c.name, v, dims, scale, offset, epsilon)


def instance_normalization(b: Builder, c: OnnxCall) -> Result:
    epsilon = c.attr("epsilon", float, 1e-5)
    return layers_norm.instance_norm(b, c.name, c.value(), c.const(1), c.const(2), epsilon)


def group_normalization(b: Builder, c: OnnxCall) -> Result:
    """Until operator set 20 its scale and offset were one a group."""
    v, groups = c.value(), c.attr("num_groups", int, 0)
    if len(v.shape) < 2 or groups < 1 or v.shape[1] % groups:
        raise Refuse(f"its input {v.shape} has no {groups} groups of channels")
    vectors = [c.const(1), c.const(2)]
    if c.opset < 21:
        vectors = [Const(t.name, np.repeat(t.array, v.shape[1] // groups)) for t in vectors]
    return layers_norm.group_norm(b, c.name, v, groups, vectors[0], vectors[1], c.attr("epsilon", float, 1e-5))


def group_norm_idiom(b: Builder, c: OnnxCall) -> Result:
    """x, the shape that it has in the end, and what it is multiplied by and what is added, or none (onnx_idioms.py)."""
    v, first = c.value(), c.attr("first", int, 0)
    if first not in (0, v.shape[0]):
        raise Refuse(f"it normalizes groups across the first dimension of {v.shape}")
    if reshaped(v.shape, c.ints(1), False) != v.shape:
        raise Refuse(f"it normalizes groups of {v.shape} and gives them the shape {c.ints(1)}")
    scale, offset = c.optional(2), c.optional(3)
    groups, epsilon = c.attr("num_groups", int, 0), c.attr("epsilon", float, 1e-5)
    channels = (v.shape[1], *[1] * (len(v.shape) - 2))
    if all(t is None or t.array.shape == channels for t in (scale, offset)):
        vectors = [None if t is None else Const(t.name, t.array.reshape(-1)) for t in (scale, offset)]
        return layers_norm.group_norm(b, c.name, v, groups, vectors[0], vectors[1], epsilon)
    # Of another rank they run along another dimension.
    found = layers_norm.group_norm(b, f"{c.name}_normalized", v, groups, None, None, epsilon)
    for t, op in ((scale, Mul()), (offset, Add())):
        found = found if t is None else layers.binary(b, f"{c.name}_{op.name}", op, found, t)
    return found


def mean_variance_normalization(b: Builder, c: OnnxCall) -> Result:
    """Each channel over height and width, or over the first dimension as well."""
    v, given = c.value(), c.attr("axes", list, [0, 2, 3])
    axes = {axis_in(a, len(v.shape)) for a in given}
    if len(v.shape) != 4 or axes not in ({0, 2, 3}, {2, 3}):
        wanted = "2 and 3, or 0, 2 and 3, of four are supported"
        raise Refuse(f"it normalizes dimensions {given[:16]} of {v.shape}; {wanted}")
    if v.shape[0] == 1 or 0 not in axes:
        return layers_norm.instance_norm(b, c.name, v, None, None, 1e-9)
    n, channels, h, w = v.shape
    together = b.reshape(b.permute(v, (1, 0, 2, 3)), (1, channels, n * h * w))
    found = layers_norm.instance_norm(b, c.name, together, None, None, 1e-9)
    return b.permute(b.reshape(found, (channels, n, h, w)), (1, 0, 2, 3))


def silu(b: Builder, c: OnnxCall) -> Result:
    return layers.unary(b, c.name, Silu(), c.value())


def lp_normalization(b: Builder, c: OnnxCall) -> Result:
    if c.attr("p", int, 2) != 2:
        raise Refuse(f"its p is {c.attr('p', int, 2)}; 2 is supported")
    return layers_norm.l2_normalization(b, c.name, c.value(), c.axis(len(c.value().shape), -1))


HANDLERS: dict[str, Handler] = {
    "ReduceMean": _reduction(Mean),
    "ReduceSum": _reduction(ReduceSum),
    "ReduceMin": _reduction(ReduceMin),
    "ReduceMax": reduce_max,
    "ReduceL1": _norm(1),
    "ReduceL2": _norm(2),
    "ReduceSumSquare": sum_square,
    "Softmax": softmax,
    "LayerNormalization": layer_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "LpNormalization": lp_normalization,
}
IDIOMS: dict[str, Handler] = {"Silu": silu, "GroupNorm": group_norm_idiom}
"""What onnx_idioms.py makes of several nodes where ONNX has no operator for it."""
