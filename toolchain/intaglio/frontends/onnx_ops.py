"""What each ONNX operator becomes: one function each, from a call to Values, adding nodes to a Builder.

Operators and their versions: github.com/onnx/onnx, docs/Operators.md and docs/Changelog.md, operator sets 11 to 22. A
function raises Refuse with the reason where an operator's use is not supported.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graph import Array
from ..ops.add import Add
from ..ops.base import Op, Refuse
from ..ops.hard_swish import HardSwish
from ..ops.leaky_relu import LeakyRelu
from ..ops.logistic import Logistic
from ..ops.maximum import Maximum
from ..ops.minimum import Minimum
from ..ops.mul import Mul
from ..ops.relu import Relu
from ..ops.sub import Sub
from ..ops.tanh import Tanh
from . import layers
from .layout import Builder, Const, Shape, Value
from .onnx_file import OnnxNode, attribute
from .onnx_fold import axes_of, axis_in, flattened, reshaped, slices, squeezed, unsqueezed


@dataclass(frozen=True, eq=False)
class OnnxCall:
    """One node with its inputs looked up: None for an absent one. `name` is what its result is called."""

    name: str
    node: OnnxNode
    ins: tuple[Any, ...]
    opset: int

    def has(self, index: int) -> bool:
        return index < len(self.ins) and self.ins[index] is not None

    def value(self, index: int = 0) -> Value:
        """An input that is computed at run time."""
        v = self.ins[index] if self.has(index) else None
        if not isinstance(v, Value):
            raise Refuse(f"its input {index} is {'a constant' if v is not None else 'missing'}; it must be computed")
        return v

    def const(self, index: int) -> Const:
        c = self.ins[index] if self.has(index) else None
        if not isinstance(c, Const):
            found = "missing" if c is None else "computed at run time"
            raise Refuse(f"its input {index} is {found}; it must be constant")
        return c

    def optional(self, index: int) -> Const | None:
        return self.const(index) if self.has(index) else None

    def ints(self, index: int) -> list[int]:
        array = self.const(index).array
        if array.dtype.kind not in "iu" or array.size > 64:
            raise Refuse(f"its input {index} holds {array.size} numbers of {array.dtype}; a few integers are expected")
        return [int(v) for v in array.ravel()]

    def scalar(self, index: int) -> float:
        array = self.const(index).array
        if array.size != 1:
            raise Refuse(f"its input {index} has {array.size} elements, not one")
        return float(array.item())

    def arrays(self) -> list[Array]:
        """The constant inputs as they are, for the rules of onnx_fold."""
        return [c.array for c in self.ins if isinstance(c, Const)]

    def attr(self, key: str, kind: type, default: Any) -> Any:
        return attribute(self.node, key, kind, default)

    def axis(self, rank: int, default: int) -> int:
        return axis_in(self.attr("axis", int, default), rank)


Result = Value | Const | tuple[Value, ...]
Handler = Callable[[Builder, OnnxCall], Result]


# ---- element by element ------------------------------------------------------------------------------------------


def _simple(op: Op) -> Handler:
    return lambda b, c: layers.unary(b, c.name, op, c.value())


def _binary(op: Op) -> Handler:
    """Of two or more inputs (Max, Min and Sum take any number), from the left."""

    def run(b: Builder, c: OnnxCall) -> Result:
        found, *rest = c.ins
        if not rest and isinstance(found, Value):
            return found
        for k, v in enumerate(rest):
            name = c.name if k == len(rest) - 1 else f"{c.name}_{k}"
            found = layers.binary(b, name, op, found, v)
        return found  # type: ignore[no-any-return]

    return run


def div(b: Builder, c: OnnxCall) -> Result:
    return layers.divided(b, c.name, c.value(), c.const(1))


def neg(b: Builder, c: OnnxCall) -> Result:
    return layers.binary(b, c.name, Mul(), c.value(), -1.0)


def power(b: Builder, c: OnnxCall) -> Result:
    if c.scalar(1) != 2:
        raise Refuse(f"its exponent is {c.scalar(1):g}; 2 is supported")
    return layers.binary(b, c.name, Mul(), c.value(), c.value())


def leaky_relu(b: Builder, c: OnnxCall) -> Result:
    return layers.unary(b, c.name, LeakyRelu(c.attr("alpha", float, 0.01)), c.value())


def prelu(b: Builder, c: OnnxCall) -> Result:
    if c.const(1).array.size != 1:
        raise Refuse(f"it has {c.const(1).array.size} slopes; one for all channels is supported")
    return layers.unary(b, c.name, LeakyRelu(c.scalar(1)), c.value())


def clip(b: Builder, c: OnnxCall) -> Result:
    low, high = (c.scalar(k) if c.has(k) else None for k in (1, 2))
    # The ends of float32 are exporters' way of saying that there is no bound.
    low, high = (None if v is None or abs(v) >= float(np.finfo(np.float32).max) else v for v in (low, high))
    if low is None and high is None:
        return c.value()
    return layers.clamped(b, c.name, c.value(), low, high)


def hard_sigmoid(b: Builder, c: OnnxCall) -> Result:
    alpha, beta = c.attr("alpha", float, 0.2), c.attr("beta", float, 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return layers.hard_sigmoid(b, c.name, c.value())
    scaled = layers.binary(b, f"{c.name}_scaled", Mul(), c.value(), alpha)
    return layers.clamped(b, c.name, layers.binary(b, f"{c.name}_shifted", Add(), scaled, beta), 0.0, 1.0)


def identity(b: Builder, c: OnnxCall) -> Result:
    if c.has(2) and c.scalar(2):
        raise Refuse("it is in training mode")
    return c.value()


def cast(b: Builder, c: OnnxCall) -> Result:
    if c.attr("to", int, 0) != 1:
        raise Refuse(f"it casts computed values to the type number {c.attr('to', int, 0)}; 1 (float32) is supported")
    return c.value()


# ---- shapes ------------------------------------------------------------------------------------------------------


def shape_of(b: Builder, c: OnnxCall) -> Result:
    shape = c.value().shape
    start, end = c.attr("start", int, 0), c.attr("end", int, len(shape))
    return Const(c.name, np.array(shape[start:end], np.int64))


def size_of(b: Builder, c: OnnxCall) -> Result:
    return Const(c.name, np.array(math.prod(c.value().shape), np.int64))


def reshape(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    return _as(b, v, reshaped(v.shape, c.ints(1), bool(c.attr("allowzero", int, 0))))


def _as(b: Builder, v: Value, shape: Shape) -> Value:
    if len(shape) > 8 or not shape:
        raise Refuse(f"its result has {len(shape)} dimensions; 1 to 8 are supported")
    return b.reshape(v, shape)


def flatten(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    return _as(b, v, flattened(v.shape, c.attr("axis", int, 1)))


def squeeze(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    return _as(b, v, squeezed(v.shape, axes_of(c.node, c.arrays(), 0)))


def unsqueeze(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    return _as(b, v, unsqueezed(v.shape, axes_of(c.node, c.arrays(), 0) or []))


def transpose(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    dims = c.attr("perm", list, list(range(len(v.shape)))[::-1])
    if sorted(dims) != list(range(len(v.shape))):
        raise Refuse(f"its perm {dims[:16]} is no permutation of {len(v.shape)} dimensions")
    return b.permute(v, dims)


def expand(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    shape = np.broadcast_shapes(v.shape, tuple(c.ints(1)))
    if math.prod(shape) != math.prod(v.shape):
        raise Refuse(f"it repeats {v.shape} to {shape}; broadcasting inside Add, Mul and the like is supported")
    return _as(b, v, shape)


def slice_(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    cuts = [x for x in slices(c.node, v.shape, [c.const(1).array, c.const(2).array, *_tail(c)]) if x[3] != 1
            or x[2] != v.shape[x[0]]]  # fmt: skip
    for k, (dim, start, count, step) in enumerate(cuts):
        if count < 1:
            raise Refuse(f"it leaves nothing of dimension {dim}")
        v = layers.cut(b, c.name if k == len(cuts) - 1 else f"{c.name}_{k}", v, dim, start, count, step)
    return v


def _tail(c: OnnxCall) -> list[Array | None]:
    return [c.const(k).array if c.has(k) else None for k in (3, 4)]


def gather(b: Builder, c: OnnxCall) -> Result:
    """Of one index, or of indices in equal steps: a slice."""
    v, indices = c.value(), c.const(1).array
    dim = c.axis(len(v.shape), 0)
    at = [int(i) + (v.shape[dim] if i < 0 else 0) for i in indices.ravel()[:1024]]
    steps = {q - p for p, q in itertools.pairwise(at)} or {1}
    if indices.ndim > 1 or not at or indices.size > 1024 or len(steps) > 1 or 0 in steps:
        raise Refuse("its indices are not constants in equal steps")
    if not all(0 <= i < v.shape[dim] for i in at):
        raise Refuse(f"its indices leave dimension {dim} of {v.shape}")
    found = layers.cut(b, c.name, v, dim, at[0], len(at), steps.pop())
    return found if indices.ndim else _as(b, found, tuple(n for d, n in enumerate(v.shape) if d != dim))


def split(b: Builder, c: OnnxCall) -> Result:
    v, count = c.value(), len(c.node.outputs)
    dim = c.axis(len(v.shape), 0)
    sizes = c.ints(1) if c.has(1) else c.attr("split", list, None)
    if sizes is None:
        each = -(-v.shape[dim] // c.attr("num_outputs", int, count))
        sizes = [each] * (count - 1) + [v.shape[dim] - each * (count - 1)]
    if len(sizes) != count or sum(sizes) != v.shape[dim] or any(s < 1 for s in sizes):
        raise Refuse(f"it cuts {v.shape[dim]} into {sizes[:16]} for {count} results")
    return layers.split(b, c.name, v, dim, sizes)


def concat(b: Builder, c: OnnxCall) -> Result:
    rank = max(len(v.shape) if isinstance(v, Value) else v.array.ndim for v in c.ins)
    if any((len(v.shape) if isinstance(v, Value) else v.array.ndim) != rank for v in c.ins):
        raise Refuse("its inputs differ in rank")
    return layers.concatenated(b, c.name, c.ins, c.axis(rank, 0))


def pad(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    if c.attr("mode", str, "constant") != "constant":
        raise Refuse(f"its mode is {c.attr('mode', str, '')}; constant is supported")
    rank = len(v.shape)
    pads = c.ints(1)
    axes = [axis_in(a, rank) for a in c.ints(3)] if c.has(3) else list(range(rank))
    if len(pads) != 2 * len(axes):
        raise Refuse(f"it has {len(pads)} pads for {len(axes)} dimensions")
    pairs = [(0, 0)] * rank
    for k, axis in enumerate(axes):
        pairs[axis] = (pads[k], pads[len(axes) + k])
    return layers.padded(b, c.name, v, pairs, c.scalar(2) if c.has(2) else 0.0)


# ---- over dimensions ---------------------------------------------------------------------------------------------


def reduce_mean(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    axes = axes_of(c.node, c.arrays(), 0)
    if not axes:
        if c.attr("noop_with_empty_axes", int, 0):
            return v
        axes = list(range(1, len(v.shape))) if v.shape[0] == 1 else list(range(len(v.shape)))
    dims = {axis_in(a, len(v.shape)) for a in axes}
    return layers.mean(b, c.name, v, dims, bool(c.attr("keepdims", int, 1)))


def reduce_max(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    dims = {axis_in(a, len(v.shape)) for a in axes_of(c.node, c.arrays(), 0) or []}
    if len(v.shape) != 4 or dims != {2, 3}:
        raise Refuse(f"it takes the maximum over dimensions {sorted(dims)}; over height and width it is supported")
    found = layers.global_max(b, c.name, v)
    return found if c.attr("keepdims", int, 1) else b.reshape(found, v.shape[:2])


def softmax(b: Builder, c: OnnxCall) -> Result:
    v = c.value()
    axis = c.axis(len(v.shape), -1 if c.opset >= 13 else 1)
    # Before operator set 13, everything from the axis on was normalized together.
    if c.opset < 13 and math.prod(v.shape[axis + 1 :]) != 1:
        raise Refuse(f"it normalizes dimensions {axis} to {len(v.shape) - 1} together; one is supported")
    return layers.softmax(b, c.name, v, axis)


ELEMENTWISE: dict[str, Handler] = {
    "Relu": _simple(Relu("relu")),
    "Sigmoid": _simple(Logistic()),
    "Tanh": _simple(Tanh()),
    "HardSwish": _simple(HardSwish()),
    "HardSigmoid": hard_sigmoid,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Clip": clip,
    "Add": _binary(Add()),
    "Sum": _binary(Add()),
    "Sub": _binary(Sub()),
    "Mul": _binary(Mul()),
    "Max": _binary(Maximum()),
    "Min": _binary(Minimum()),
    "Div": div,
    "Neg": neg,
    "Pow": power,
    "Identity": identity,
    "Dropout": identity,
    "Cast": cast,
}
MOVES: dict[str, Handler] = {
    "Shape": shape_of,
    "Size": size_of,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Expand": expand,
    "Slice": slice_,
    "Gather": gather,
    "Split": split,
    "Concat": concat,
    "Pad": pad,
}
"""Operators that move elements and compute none: they take quantized integers as they take floats."""
REDUCTIONS: dict[str, Handler] = {"ReduceMean": reduce_mean, "ReduceMax": reduce_max, "Softmax": softmax}
