"""TFLite operators that compute on constants alone, folded with NumPy: the shape arithmetic of a batch left open.

Keras converts with a batch of None unless told otherwise, and writes SHAPE, STRIDED_SLICE, PACK, GATHER, REDUCE_PROD
in front of a RESHAPE. Here the batch is 1, so SHAPE is a constant, and so is what follows from it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphError, ModelError
from ..graph import Array, Tensor
from ..ops import by_tflite
from ..ops.base import Refuse
from .onnx_fold import MAX_FOLDED, axis_in, limited, truncated_division

if TYPE_CHECKING:
    from ..ops.tflite_node import TfliteNode

Fold = Callable[["TfliteNode", list[Array]], Array]
DTYPES = {name.upper(): np.dtype(name) for name in ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")}
"""What a constant may be while shapes are worked out, by TFLite's name of the type."""
MOVES = (
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "PACK", "UNPACK", "CONCATENATION", "SPLIT", "SPLIT_V", "SLICE",
    "STRIDED_SLICE", "TRANSPOSE",
)  # fmt: skip
"""Operators whose class in ops/ moves elements, of whatever type: their reference folds them."""
OF_SHAPES = ("SHAPE", "RANK", "REDUCE_PROD", "RANGE", "FILL", "BROADCAST_ARGS")
"""Operators that are hardly ever there but to work out a shape."""


def _plain(n: TfliteNode, table: str) -> None:
    if n.activation(n.options(table).FusedActivationFunction()) != "none":
        raise Refuse("it has a fused activation between constants")


def _arithmetic(fn: Callable[..., Any], table: str = "") -> Fold:
    def run(n: TfliteNode, ins: list[Array]) -> Array:
        if len(ins) != 2:
            raise Refuse(f"it has {len(ins)} inputs, not two")
        if table:
            _plain(n, table)
        limited(np.broadcast_shapes(*(i.shape for i in ins)))
        with np.errstate(all="ignore", divide="raise"):
            return np.asarray(fn(*ins))

    return run


def _alone(fn: Callable[[Array], Any]) -> Fold:
    def run(n: TfliteNode, ins: list[Array]) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(fn(ins[0]))

    return run


def _reduced(fn: Callable[..., Any]) -> Fold:
    def run(n: TfliteNode, ins: list[Array]) -> Array:
        axes = tuple({axis_in(int(a), ins[0].ndim) for a in ins[1].ravel()})
        with np.errstate(all="ignore"):
            found = fn(ins[0], axis=axes, keepdims=bool(n.options("ReducerOptions").KeepDims()))
        return np.asarray(found, ins[0].dtype)

    return run


def _gather(n: TfliteNode, ins: list[Array]) -> Array:
    o = n.options("GatherOptions")
    if o.BatchDims():
        raise Refuse("it has batch dimensions")
    axis, indices = axis_in(o.Axis(), ins[0].ndim), ins[1].astype(np.int64)
    if indices.size and (indices.min() < 0 or indices.max() >= ins[0].shape[axis]):
        raise Refuse(f"it takes indices {indices.min()}..{indices.max()} of {ins[0].shape[axis]}")
    limited((*ins[0].shape[:axis], *indices.shape, *ins[0].shape[axis + 1 :]))
    return np.asarray(np.take(ins[0], indices, axis))


def _fill(n: TfliteNode, ins: list[Array]) -> Array:
    if ins[1].size != 1:
        raise Refuse(f"it fills with {ins[1].size} values, not one")
    return np.full(limited(ins[0].ravel().tolist()), ins[1].ravel()[0], ins[1].dtype)


def _range(n: TfliteNode, ins: list[Array]) -> Array:
    start, stop, step = (i.item() for i in ins)
    if step == 0:
        raise Refuse("its step is 0")
    limited([max(0, math.ceil((stop - start) / step))])
    return np.asarray(np.arange(start, stop, step), ins[0].dtype)


def _broadcast_to(n: TfliteNode, ins: list[Array]) -> Array:
    return np.broadcast_to(ins[0], limited(ins[1].ravel().tolist())).copy()


def _tile(n: TfliteNode, ins: list[Array]) -> Array:
    times = [int(v) for v in ins[1].ravel()]
    if len(times) != ins[0].ndim:
        raise Refuse(f"it repeats {ins[0].ndim} dimensions by {times[:8]}")
    limited([d * t for d, t in zip(ins[0].shape, times, strict=True)])
    return np.tile(ins[0], times)


def _select(n: TfliteNode, ins: list[Array]) -> Array:
    limited(np.broadcast_shapes(*(i.shape for i in ins)))
    return np.where(ins[0].astype(bool), ins[1], ins[2])


def _select_rows(n: TfliteNode, ins: list[Array]) -> Array:
    """The first version: a condition of rank 1 chooses rows."""
    condition, *values = ins
    if condition.ndim == 1 and values[0].ndim > 1:
        condition = condition.reshape(-1, *[1] * (values[0].ndim - 1))
    return _select(n, [condition, *values])


FOLDS: dict[str, Fold] = {
    "ADD": _arithmetic(np.add, "AddOptions"),
    "SUB": _arithmetic(np.subtract, "SubOptions"),
    "MUL": _arithmetic(np.multiply, "MulOptions"),
    "DIV": _arithmetic(truncated_division, "DivOptions"),
    "FLOOR_DIV": _arithmetic(np.floor_divide),
    "FLOOR_MOD": _arithmetic(np.mod),
    "MAXIMUM": _arithmetic(np.maximum),
    "MINIMUM": _arithmetic(np.minimum),
    "EQUAL": _arithmetic(np.equal),
    "NOT_EQUAL": _arithmetic(np.not_equal),
    "LESS": _arithmetic(np.less),
    "LESS_EQUAL": _arithmetic(np.less_equal),
    "GREATER": _arithmetic(np.greater),
    "GREATER_EQUAL": _arithmetic(np.greater_equal),
    "LOGICAL_AND": _arithmetic(np.logical_and),
    "LOGICAL_OR": _arithmetic(np.logical_or),
    "LOGICAL_NOT": _alone(np.logical_not),
    "NEG": _alone(np.negative),
    "ABS": _alone(np.abs),
    "FLOOR": _alone(np.floor),
    "CEIL": _alone(np.ceil),
    "CAST": lambda n, ins: ins[0],
    "ZEROS_LIKE": _alone(np.zeros_like),
    "REDUCE_PROD": _reduced(np.prod),
    "REDUCE_MAX": _reduced(np.max),
    "REDUCE_MIN": _reduced(np.min),
    "SUM": _reduced(np.sum),
    "GATHER": _gather,
    "FILL": _fill,
    "RANGE": _range,
    "BROADCAST_TO": _broadcast_to,
    "TILE": _tile,
    "SELECT": _select_rows,
    "SELECT_V2": _select,
}
"""What computes each operator when all its inputs are known. The reader gives the result the type that is declared."""


class Folder:
    """Works out, while the operators of a file go by, those whose results do not depend on the input."""

    def __init__(self, where: str) -> None:
        self.where, self.elements = where, 0
        self.values: dict[int, Array] = {}
        """What is known so far, by the tensor's index and whatever its type: a Graph has no bool."""

    def results(self, n: TfliteNode, ins: Sequence[int], types: Sequence[str], sized: bool) -> list[Array] | None:
        """The values of an operator's outputs, or None where it is not folded.

        Args:
            ins: indices of its inputs, -1 for an absent one.
            types: TFLite's names of its outputs' types, which the values get.
            sized: whether the shapes of its inputs are known.
        Raises: ModelError for a file whose constants would grow beyond all bounds.
        """
        if not types or any(t not in DTYPES for t in types):
            return None
        try:
            found = self._found(n, ins, [DTYPES[t] for t in types], sized)
        except (Refuse, GraphError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError, struct.error):
            return None  # the reader will say why, if it has to keep the operator
        self.elements += sum(r.size for r in found or ())
        if self.elements > MAX_FOLDED:
            raise ModelError(self.where, "computes too much on constants", f"{MAX_FOLDED} elements in all")
        for r in found or ():
            r.setflags(write=False)
        return found

    def _found(
        self, n: TfliteNode, ins: Sequence[int], dtypes: Sequence[np.dtype[Any]], sized: bool
    ) -> list[Array] | None:
        if n.builtin in ("SHAPE", "RANK"):
            x = n.inputs[0] if len(n.inputs) == 1 else None
            if x is None or not sized or len(dtypes) != 1:
                return None
            return [np.array(len(x.shape) if n.builtin == "RANK" else x.shape, dtypes[0])]
        known = [self._value(n, k, t) for k, t in zip(ins, n.inputs, strict=True)]
        xs = [x for x in known if x is not None]
        if not (n.builtin in FOLDS or n.builtin in MOVES) or len(xs) < len(known):
            return None
        # Floats alone are weights, which later passes fold.
        if not any(k in self.values or x.dtype.kind in "iu" for k, x in zip(ins, xs, strict=True)):
            return None
        return _results(n, xs, dtypes)

    def _value(self, n: TfliteNode, k: int, t: Tensor | None) -> Array | None:
        if t is None or k in self.values:
            return self.values.get(k)
        # FILL copies a value that may stand for a real number: the zeros that a recurrent layer begins with.
        plain = t.quant is None or (n.builtin == "FILL" and t.quant == n.outputs[0].quant)
        return t.data if t.is_const and plain else None


def _results(n: TfliteNode, ins: Sequence[Array], dtypes: Sequence[np.dtype[Any]]) -> list[Array]:
    if n.builtin in FOLDS:
        results = [FOLDS[n.builtin](n, list(ins))]
    else:
        op, kept = by_tflite()[n.builtin].from_tflite(n)
        data = [n.inputs[k] for k in kept]
        if sum(ins[k].size for k in kept) > MAX_FOLDED:
            raise Refuse(f"it would make constants of more than {MAX_FOLDED} elements")
        found = op.infer(data, n.outputs)
        outs = [replace(t, shape=tuple(s)) for t, (s, _) in zip(n.outputs, found, strict=True)]
        results = op.reference([ins[k] for k in kept], data, outs)
    if len(results) != len(dtypes):
        raise Refuse(f"it has {len(dtypes)} outputs, not {len(results)}")
    for r in results:
        limited(np.shape(r))
    with np.errstate(all="ignore"):
        return [np.array(r, d, order="C") for r, d in zip(results, dtypes, strict=True)]
