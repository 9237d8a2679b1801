"""ONNX nodes that compute on constants alone: the shape arithmetic that exporters leave behind, folded with NumPy.

Shapes are known (the batch is 1), so Shape starts such chains and Reshape, Slice and their like end them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..graph import Array
from ..ops.base import Refuse
from .onnx_file import DTYPES, OnnxNode, attribute

MAX_FOLDED = 1 << 24
"""Elements of a folded constant; nothing larger is made."""
Fold = Callable[[OnnxNode, list[Array], int], Array]


def limited(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that may be allocated."""
    shape = tuple(int(d) for d in shape)
    if len(shape) > 8 or any(d < 0 for d in shape) or math.prod(shape) > MAX_FOLDED:
        raise Refuse(f"it would make a constant of the shape {list(shape)[:16]}, beyond {MAX_FOLDED} elements")
    return shape


def axes_of(n: OnnxNode, ins: Sequence[Array], at: int = 1) -> list[int] | None:
    """Axes as input `at` (newer operator sets) or as attribute; None when they are absent."""
    if len(ins) > at:
        return [int(a) for a in ins[at].ravel()]
    found = attribute(n, "axes", list, None)
    return None if found is None else [int(a) for a in found]


def axis_in(axis: int, rank: int) -> int:
    """An axis counted from the front. Raises Refuse where there is none."""
    if not -rank <= axis < rank:
        raise Refuse(f"axis {axis} does not exist in {rank} dimensions")
    return axis % rank


def squeezed(shape: Sequence[int], axes: Sequence[int] | None) -> tuple[int, ...]:
    """Shape rule of Squeeze."""
    drop = {axis_in(a, len(shape)) for a in axes} if axes is not None else {d for d, s in enumerate(shape) if s == 1}
    if any(shape[d] != 1 for d in drop):
        raise Refuse(f"it drops dimensions {sorted(drop)} of {tuple(shape)}, which are not all 1")
    return tuple(s for d, s in enumerate(shape) if d not in drop)


def unsqueezed(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """Shape rule of Unsqueeze."""
    rank = len(shape) + len(axes)
    new = {axis_in(a, rank) for a in axes}
    if len(new) != len(axes):
        raise Refuse(f"its axes {list(axes)} repeat")
    rest = iter(shape)
    return tuple(1 if d in new else next(rest) for d in range(rank))


def reshaped(shape: Sequence[int], wanted: Sequence[int], allow_zero: bool) -> tuple[int, ...]:
    """Shape rule of Reshape: 0 copies a dimension, one -1 is worked out."""
    out = [int(w) for w in wanted]
    for d, w in enumerate(out):
        if w == 0 and not allow_zero:
            if d >= len(shape):
                raise Refuse(f"its new shape {out} copies a dimension that {tuple(shape)} does not have")
            out[d] = shape[d]
    rest = math.prod(w for w in out if w != -1)
    if out.count(-1) == 1 and rest > 0:
        out[out.index(-1)] = math.prod(shape) // rest
    if any(w < 0 for w in out) or math.prod(out) != math.prod(shape):
        raise Refuse(f"it reshapes {tuple(shape)} to {list(wanted)[:16]}, which has another number of elements")
    return tuple(out)


def flattened(shape: Sequence[int], axis: int) -> tuple[int, int]:
    """Shape rule of Flatten."""
    if not -len(shape) <= axis <= len(shape):
        raise Refuse(f"axis {axis} does not exist in {len(shape)} dimensions")
    at = axis + len(shape) if axis < 0 else axis
    return math.prod(shape[:at]), math.prod(shape[at:])


def slices(n: OnnxNode, shape: Sequence[int], ins: Sequence[Array | None]) -> list[tuple[int, int, int, int]]:
    """(dimension, start, count, step) of a Slice whose starts, ends, axes and steps are given."""
    starts, ends = ([int(v) for v in np.asarray(a).ravel()] for a in ins[:2])
    axes = list(range(len(starts))) if len(ins) < 3 or ins[2] is None else [int(v) for v in ins[2].ravel()]
    steps = [1] * len(starts) if len(ins) < 4 or ins[3] is None else [int(v) for v in ins[3].ravel()]
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Refuse("its starts, ends, axes and steps differ in number")
    found: list[tuple[int, int, int, int]] = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        dim = axis_in(axis, len(shape))
        if step == 0:
            raise Refuse("its step is 0")
        picked = range(*slice(start, end, step).indices(shape[dim]))
        found.append((dim, picked.start, len(picked), step))
    return found


def _cast(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    dtype = DTYPES.get(attribute(n, "to", int, 0))
    if dtype is None:
        raise Refuse(f"it casts to the type number {attribute(n, 'to', int, 0)}")
    with np.errstate(all="ignore"):
        return ins[0].astype(dtype)


def _constant(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    for key, dtype in (("value_float", np.float32), ("value_int", np.int64), ("value_floats", np.float32),
                       ("value_ints", np.int64)):  # fmt: skip
        if key in n.attrs:
            return np.array(attribute(n, key, object, None), dtype)
    found = attribute(n, "value", np.ndarray, None)
    if found is None:
        raise Refuse("it holds no tensor, or strings")
    return np.asarray(found)


def _constant_of_shape(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    value = np.asarray(attribute(n, "value", np.ndarray, np.zeros(1, np.float32)))
    if value.size != 1:
        raise Refuse(f"its value has {value.size} elements, not one")
    return np.full(limited(ins[0].ravel().tolist()), value.ravel()[0], value.dtype)


def _gather(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    axis = axis_in(attribute(n, "axis", int, 0), ins[0].ndim)
    limited((*ins[0].shape[:axis], *ins[1].shape, *ins[0].shape[axis + 1 :]))
    return np.asarray(np.take(ins[0], ins[1].astype(np.int64), axis))


def _concat(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    limited([sum(i.size for i in ins)])
    return np.concatenate(ins, axis_in(attribute(n, "axis", int, 0), ins[0].ndim))


def _slice(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    out = ins[0]
    for dim, start, count, step in slices(n, out.shape, list(ins[1:])):
        out = np.take(out, np.arange(count) * step + start, dim)
    return out


def _reshape(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    return ins[0].reshape(reshaped(ins[0].shape, ins[1].ravel().tolist(), bool(attribute(n, "allowzero", int, 0))))


def _squeeze(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    return ins[0].reshape(squeezed(ins[0].shape, axes_of(n, ins)))


def _unsqueeze(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    return ins[0].reshape(limited(unsqueezed(ins[0].shape, axes_of(n, ins) or [])))


def _transpose(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    return ins[0].transpose(attribute(n, "perm", list, list(range(ins[0].ndim))[::-1]))


def _flatten(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    return ins[0].reshape(flattened(ins[0].shape, attribute(n, "axis", int, 1)))


def _expand(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    shape = np.broadcast_shapes(ins[0].shape, limited(ins[1].ravel().tolist()))
    return np.broadcast_to(ins[0], limited(shape)).copy()


def _range(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    start, stop, step = (v.item() for v in ins)
    limited([max(0, math.ceil((stop - start) / step))])
    return np.asarray(np.arange(start, stop, step), ins[0].dtype)


def _product(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    axes = axes_of(n, ins)
    dims = tuple(axis_in(a, ins[0].ndim) for a in (range(ins[0].ndim) if axes is None else axes))
    found = np.prod(ins[0], dims, keepdims=bool(attribute(n, "keepdims", int, 1)))
    return np.asarray(found, ins[0].dtype)


def truncated_division(a: Array, b: Array) -> Array:
    """a / b; of integers towards zero, as in C."""
    if a.dtype.kind in "iu":
        return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)), a.dtype)
    return np.asarray(a / b)


def _shape(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    start, end = attribute(n, "start", int, 0), attribute(n, "end", int, ins[0].ndim)
    return np.array(ins[0].shape[start:end], np.int64)


def _elementwise(fn: Callable[..., Array], count: int) -> Fold:
    def run(n: OnnxNode, ins: list[Array], opset: int) -> Array:
        if len(ins) != count:
            raise Refuse(f"it has {len(ins)} inputs; {count} are supported")
        limited(np.broadcast_shapes(*(i.shape for i in ins)))
        with np.errstate(all="ignore"):
            return np.asarray(fn(*ins))

    return run


FOLDS: dict[str, Fold] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Cast": _cast,
    "Shape": _shape,
    "Size": lambda n, ins, opset: np.array(ins[0].size, np.int64),
    "Identity": lambda n, ins, opset: ins[0],
    "Gather": _gather,
    "Concat": _concat,
    "Slice": _slice,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Flatten": _flatten,
    "Expand": _expand,
    "Range": _range,
    "ReduceProd": _product,
    "Add": _elementwise(np.add, 2),
    "Sub": _elementwise(np.subtract, 2),
    "Mul": _elementwise(np.multiply, 2),
    "Div": _elementwise(truncated_division, 2),
    "Max": _elementwise(np.maximum, 2),
    "Min": _elementwise(np.minimum, 2),
    "Equal": _elementwise(np.equal, 2),
    "Where": _elementwise(np.where, 3),
    "Neg": _elementwise(np.negative, 1),
    "Abs": _elementwise(np.abs, 1),
    "Reciprocal": _elementwise(np.reciprocal, 1),
    "Sqrt": _elementwise(np.sqrt, 1),
    "Floor": _elementwise(np.floor, 1),
    "Ceil": _elementwise(np.ceil, 1),
}
"""What computes each operator when all its inputs are known."""


def fold(n: OnnxNode, ins: list[Array], opset: int) -> Array:
    """The single result of a node. Raises Refuse for an operator that is not folded, and what NumPy raises."""
    rule = FOLDS.get(n.op)
    if rule is None or n.domain or len([o for o in n.outputs if o]) != 1:
        raise Refuse("it computes on constants alone, and intaglio has no rule for that; simplify the model (onnxsim)")
    return rule(n, ins, opset)
