"""Normalizations of the PyTorch and the ONNX front end; see layers.py. Layouts only change where a mean runs across
dimensions that are not stored together."""

from __future__ import annotations

import numpy as np

from ..graph import Array
from ..ops.add import Add
from ..ops.base import Refuse
from ..ops.instance_norm import InstanceNorm
from ..ops.l2_normalization import L2Normalization
from ..ops.layer_norm import LayerNorm
from ..ops.mul import Mul
from .layers import binary
from .layout import Builder, Const, Value


def layer_norm(
    b: Builder, name: str, v: Value, dims: int, scale: Const | None, offset: Const | None, epsilon: float
) -> Value:
    """Over the last `dims` dimensions together; `scale` and `offset` broadcast to those."""
    v = b.settle(v)
    rank = len(v.shape)
    if not 1 <= dims < rank:
        raise Refuse(f"it normalizes {dims} of {rank} dimensions; the batch is not one of them")
    _check_epsilon(epsilon)
    last = set(range(rank - dims, rank))
    if set(v.perm[-dims:]) != last:
        v = b.arrange(v, (*(p for p in v.perm if p not in last), *(p for p in v.perm if p in last)))
    order = [p - (rank - dims) for p in v.perm[-dims:]]

    def stored(c: Const | None, what: str, neutral: float) -> str:
        array = np.full((1,), neutral, np.float32) if c is None else c.array
        whole = np.broadcast_to(array, v.shape[-dims:]).transpose(order)
        return b.const(Const(f"{name}_{what}" if c is None else c.name, whole))

    names = [v.name, stored(scale, "scale", 1.0)]
    if offset is not None:
        names.append(stored(offset, "offset", 0.0))
    [out] = b.node(name, LayerNorm(epsilon, dims), names)
    return Value(out, v.shape, v.perm)


def instance_norm(b: Builder, name: str, v: Value, scale: Const | None, offset: Const | None, epsilon: float) -> Value:
    """Each channel (dimension 1) over all that comes after it; `scale` and `offset` are [c]."""
    if len(v.shape) < 3:
        raise Refuse(f"its input has the shape {v.shape}; three dimensions (n, c, length) or more are supported")
    _check_epsilon(epsilon)
    v = b.channels_last(v, 1)
    ones = Const(f"{name}_scale", np.ones(v.shape[1], np.float32))
    _check_channels(v, scale, offset)
    names = [v.name, b.const(scale or ones), *([b.const(offset)] if offset is not None else [])]
    [out] = b.node(name, InstanceNorm(epsilon), names)
    return Value(out, v.shape, v.perm)


def group_norm(
    b: Builder, name: str, v: Value, groups: int, scale: Const | None, offset: Const | None, epsilon: float
) -> Value:
    """`groups` runs of channels (dimension 1), each with all that comes after it; `scale` and `offset` are [c]."""
    if len(v.shape) < 2 or groups < 1 or v.shape[1] % groups:
        raise Refuse(f"its input {v.shape} has no {groups} groups of channels")
    _check_channels(v, scale, offset)
    if groups == v.shape[1]:
        return instance_norm(b, name, v, scale, offset, epsilon)
    # One mean a group is one mean a channel where a group is a channel; what follows is one factor a channel again.
    grouped = b.reshape(v, (v.shape[0], groups, v.shape[1] // groups, *v.shape[2:]))
    grouped = b.arrange(grouped, (*(p for p in grouped.perm if p != 1), 1))
    found = b.reshape(instance_norm(b, f"{name}_groups", grouped, None, None, epsilon), v.shape)
    wide = (-1, *[1] * (len(v.shape) - 2))
    for c, op, neutral in ((scale, Mul(), 1), (offset, Add(), 0)):
        if c is not None and (c.array != neutral).any():
            along: Array = c.array.reshape(wide)
            found = binary(b, f"{name}_{op.name}", op, found, Const(c.name, along))
    return found


def l2_normalization(b: Builder, name: str, v: Value, dim: int) -> Value:
    """Rows along `dim` divided by their Euclidean length."""
    if dim == 0:
        raise Refuse("it normalizes over the batch")
    v = b.channels_last(v, dim)
    [out] = b.node(name, L2Normalization(), [v.name])
    return Value(out, v.shape, v.perm)


def _check_epsilon(epsilon: float) -> None:
    if not 0 <= epsilon < 1e6:
        raise Refuse(f"its epsilon is {epsilon:g}; a small positive number is expected")


def _check_channels(v: Value, *constants: Const | None) -> None:
    if any(c is not None and c.array.shape != v.shape[1:2] for c in constants):
        raise Refuse(f"its scale and offset do not fit the {v.shape[1]} channels of {v.shape}")
