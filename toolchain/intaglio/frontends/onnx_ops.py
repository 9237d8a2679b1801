"""What each ONNX operator becomes: one function each, from a call to Values, adding nodes to a Builder.

Operators and their versions: github.com/onnx/onnx, docs/Operators.md and docs/Changelog.md, operator sets 11 to 22. A
function raises Refuse with the reason where an operator's use is not supported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..graph import Array
from ..ops.abs import Abs
from ..ops.add import Add
from ..ops.base import Op, Refuse
from ..ops.elu import Elu
from ..ops.exp import Exp
from ..ops.gelu import Gelu
from ..ops.hard_sigmoid import HardSigmoid
from ..ops.hard_swish import HardSwish
from ..ops.leaky_relu import LeakyRelu
from ..ops.log import Log
from ..ops.logistic import Logistic
from ..ops.maximum import Maximum
from ..ops.minimum import Minimum
from ..ops.mul import Mul
from ..ops.neg import Neg
from ..ops.relu import Relu
from ..ops.sqrt import Sqrt
from ..ops.sub import Sub
from ..ops.tanh import Tanh
from . import layers
from .layers_space import picked, repeated
from .layout import Builder, Const, Shape, Value
from .onnx_file import OnnxNode, attribute
from .onnx_fold import axes_of, axis_in, flattened, limited, reshaped, slices, squeezed, unsqueezed


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

    def operand(self, index: int) -> Value | Const:
        """An input, constant or not."""
        if not self.has(index):
            raise Refuse(f"its input {index} is missing")
        return self.ins[index]  # type: ignore[no-any-return]

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
    return layers.divided(b, c.name, c.operand(0), c.operand(1))


def power(b: Builder, c: OnnxCall) -> Result:
    return layers.power(b, c.name, c.value(), c.scalar(1))


def reciprocal(b: Builder, c: OnnxCall) -> Result:
    return layers.divided(b, c.name, 1.0, c.value())


def mean_of_inputs(b: Builder, c: OnnxCall) -> Result:
    total = _binary(Add())(b, replace(c, name=f"{c.name}_sum"))
    return layers.binary(b, c.name, Mul(), total, 1.0 / len(c.ins)) if isinstance(total, Value) else total


def elu(b: Builder, c: OnnxCall) -> Result:
    return layers.unary(b, c.name, Elu(c.attr("alpha", float, 1.0)), c.value())


def selu(b: Builder, c: OnnxCall) -> Result:
    alpha, gamma = c.attr("alpha", float, 1.67326319217681884765625), c.attr("gamma", float, 1.05070102214813232421875)
    return layers.binary(b, c.name, Mul(), layers.unary(b, f"{c.name}_elu", Elu(alpha), c.value()), gamma)


def gelu(b: Builder, c: OnnxCall) -> Result:
    approximate = c.attr("approximate", str, "none")
    if approximate not in ("none", "tanh"):
        raise Refuse(f"its approximate is {approximate}; none and tanh are supported")
    return layers.unary(b, c.name, Gelu(approximate == "tanh"), c.value())


def leaky_relu(b: Builder, c: OnnxCall) -> Result:
    return layers.unary(b, c.name, LeakyRelu(c.attr("alpha", float, 0.01)), c.value())


def prelu(b: Builder, c: OnnxCall) -> Result:
    return layers.prelu(b, c.name, c.value(), c.const(1))


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
    return layers.unary(b, c.name, HardSigmoid(alpha, beta), c.value())


def identity(b: Builder, c: OnnxCall) -> Result:
    if c.has(2) and c.scalar(2):
        raise Refuse("it is in training mode")
    return c.value()


def cast(b: Builder, c: OnnxCall) -> Result:
    if c.attr("to", int, 0) != 1:
        raise Refuse(f"it casts computed values to the type number {c.attr('to', int, 0)}; 1 (float32) is supported")
    return c.value()


def cast_like(b: Builder, c: OnnxCall) -> Result:
    if c.has(1) and isinstance(c.ins[1], Const) and c.ins[1].array.dtype != np.float32:
        raise Refuse(f"it casts computed values to {c.ins[1].array.dtype}; float32 is supported")
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
    shape = limited(np.broadcast_shapes(v.shape, limited(c.ints(1))))
    v = _as(b, v, (1,) * (len(shape) - len(v.shape)) + v.shape)
    return repeated(b, c.name, v, [n // m for n, m in zip(shape, v.shape, strict=True)])


def tile(b: Builder, c: OnnxCall) -> Result:
    v, counts = c.value(), c.ints(1)
    if len(counts) != len(v.shape):
        raise Refuse(f"it has {len(counts)} repeats for {len(v.shape)} dimensions")
    return repeated(b, c.name, v, counts)


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
    """Slices in equal steps, one behind the other."""
    v, indices = c.value(), c.const(1).array
    dim = c.axis(len(v.shape), 0)
    if indices.dtype.kind not in "iu" or indices.ndim > 1 or indices.size > v.shape[dim] + 1024:
        raise Refuse(f"its indices have the shape {indices.shape}; one, or a list of them, is supported")
    at = [int(i) + (v.shape[dim] if i < 0 else 0) for i in indices.ravel()]
    if not all(0 <= i < v.shape[dim] for i in at):
        raise Refuse(f"its indices leave dimension {dim} of {v.shape}")
    found = picked(b, c.name, v, dim, at)
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
    "Mean": mean_of_inputs,
    "Div": div,
    "Neg": _simple(Neg()),
    "Abs": _simple(Abs()),
    "Exp": _simple(Exp()),
    "Log": _simple(Log()),
    "Sqrt": _simple(Sqrt()),
    "Reciprocal": reciprocal,
    "Pow": power,
    "Elu": elu,
    "Selu": selu,
    "Gelu": gelu,
    "Identity": identity,
    "Dropout": identity,
    "Cast": cast,
    "CastLike": cast_like,
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
    "Tile": tile,
    "Slice": slice_,
    "Gather": gather,
    "Split": split,
    "Concat": concat,
    "Pad": pad,
}
"""Operators that move elements and compute none: they take quantized integers as they take floats."""
