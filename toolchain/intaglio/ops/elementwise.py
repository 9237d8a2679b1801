"""What element-by-element operators share: one-input functions as 256-byte tables, and two inputs that broadcast."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import INT_RANGE, Array, Tensor
from .activation import TFLITE_CODE, Activation
from .base import (
    Buf,
    Call,
    Const,
    Ends,
    FieldValue,
    Given,
    Ins,
    Num,
    Op,
    Outs,
    Refuse,
    Struct,
    TfliteOp,
    Types,
    arr,
    need,
    over,
)
from .fixed import wrap32
from .float32 import float_problems, is_float, rounded
from .integer import integer_problems, kernel
from .links import Link, channels, each
from .portable import Form, Runtime, lacking, looked_up

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode

LOOPS = 4
"""Nested loops of a broadcast: ITG_BROADCAST_LOOPS in broadcast.h."""


# ---- one input --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unary(Op):
    """A function of one number: `values` says which in integers, `real` in float32.

    In 8 bits the kernel looks it up: a table of 256 bytes is exact by construction, takes a load an element, and is
    smaller than the code of most of these functions. In 16 bits and in float32 the kernel is the operator's own.
    """

    pointwise: ClassVar[bool] = True

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        """The function on int64 `q`, quantized as x is; returns int64 numbers in the range of out's dtype."""
        raise NotImplementedError

    def real(self, x: Array) -> Array:
        """The function on doubles."""
        raise NotImplementedError

    def constants(self) -> tuple[float, ...]:
        """What the float32 kernel takes between its input and its output."""
        return ()

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        return [(x.shape, x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        if is_float(ins, outs):
            return float_problems(ins, outs)
        x, out = need(ins[0]), outs[0]
        check = self.check_int16 if x.dtype == "int16" else self.check_int8
        return integer_problems(ins, outs) or check(x, out)

    def check_int8(self, x: Tensor, out: Tensor) -> list[str]:
        """Why this node cannot be executed although its tensors are int8."""
        return []

    def check_int16(self, x: Tensor, out: Tensor) -> list[str]:
        """The same where they are int16, which an operator that has `call_int16` says here."""
        return [f"{x.name} is int16; int8 and float32 are supported"]

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        if is_float(ins, outs):
            return [rounded(self.real(arr(xs[0]).astype(np.float64)))]
        return [self.values(arr(xs[0]).astype(np.int64), need(ins[0]), outs[0]).astype(outs[0].dtype)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        return replace(self._call(x, out), overlaps=over(x, out))

    def _call(self, x: Tensor, out: Tensor) -> Call:
        if is_float([x], [out]):
            numbers = [Num(c) for c in self.constants()]
            return Call(f"{self.name}_f32", f"itg_{self.name}_f32", (Buf(x.name), *numbers, Buf(out.name), Num(x.size)))
        if x.dtype == "int16":
            return self.call_int16(x, out)
        # Entry i is for the input whose byte is i: 0..127, then -128..-1 where the input is signed.
        every = np.arange(256, dtype=np.uint8).view(x.dtype)
        table = self.values(every.astype(np.int64), x, out).astype(out.dtype).view(np.uint8)
        says = f"{self.name} of each byte of {x.dtype}, 0 to 255"
        return Call("lut", "itg_lut_8", (Buf(x.name), Const("table", table, says), Buf(out.name), Num(x.size)))

    def call_int16(self, x: Tensor, out: Tensor) -> Call:
        """The C call on int16 tensors."""
        raise NotImplementedError

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        _expect(n, 1)
        return cls(), (0,)

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        """What runtimes lack of it on tensors like these."""
        if x.dtype == "float32" or x.dtype != out.dtype:
            return {}
        every = np.arange(INT_RANGE[x.dtype][0], INT_RANGE[x.dtype][1] + 1)
        differing = int((self.values(every, x, out) != self.litert_values(every, x, out)).sum())
        return {"litert": f"rounds {differing} of {len(every)} inputs otherwise"} if differing else {}

    def litert_values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        """`values` as LiteRT computes them."""
        return self.values(q, x, out)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        why = lacking(self.lacks(x, out), runtimes)
        if why and x.dtype == out.dtype == "int8":
            return looked_up(node, graph, self.values(np.arange(-128, 128), x, out), f"a GATHER from a table: {why}")
        if why:
            raise Refuse(f"{x.dtype}: {why}")
        return None

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp(self.tflite[0], node.inputs)

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return [each(outs[0])]

    def bounds(self, lows: Given, highs: Given, ins: Ins, outs: Outs) -> Ends | None:
        """The extremes of the function over each element's range."""
        table = self.values(np.arange(-128, 128, dtype=np.int64), need(ins[0]), outs[0]).astype(np.int8)
        low, high = np.empty((256, 256), np.int8), np.empty((256, 256), np.int8)
        for first in range(256):
            low[first, first:] = np.minimum.accumulate(table[first:])
            high[first, first:] = np.maximum.accumulate(table[first:])
        at = arr(lows[0]).astype(np.int64) + 128, arr(highs[0]).astype(np.int64) + 128
        return [low[at]], [high[at]]

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return [ties.of(need(ins[0]))]


def _expect(n: TfliteNode, count: int) -> None:
    if len(n.inputs) != count or len(n.outputs) != 1 or any(t is None for t in n.inputs):
        raise Refuse(f"it needs {count} input{'s' if count > 1 else ''} and one output")


# ---- two inputs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Broadcast:
    """How two inputs are walked, outermost loop first: iterations, and each input's step in elements (0: it stays)."""

    size: tuple[int, ...]
    step_a: tuple[int, ...]
    step_b: tuple[int, ...]

    @property
    def fields(self) -> tuple[tuple[str, FieldValue], ...]:
        """The three arrays with which the kernels' parameters begin."""
        return ("size", self.size), ("step_a", self.step_a), ("step_b", self.step_b)


def broadcast(a: Sequence[int], b: Sequence[int]) -> Broadcast | None:
    """The fewest loops over two shapes that broadcast as in NumPy; None where LOOPS do not suffice."""
    out = np.broadcast_shapes(tuple(a), tuple(b))
    loops: list[tuple[int, int, int]] = []
    for n, sa, sb in zip(out, _steps(a, len(out)), _steps(b, len(out)), strict=True):
        if n == 1:
            continue
        if loops and loops[-1][1:] == (n * sa, n * sb):
            loops[-1] = (loops[-1][0] * n, sa, sb)
        else:
            loops.append((n, sa, sb))
    if len(loops) > LOOPS:
        return None
    loops = [(1, 0, 0)] * (LOOPS - len(loops)) + loops
    size, step_a, step_b = zip(*loops, strict=True)
    return Broadcast(size, step_a, step_b)


def _steps(shape: Sequence[int], rank: int) -> list[int]:
    """Distance in elements between neighbours along each of `rank` dimensions; 0 along one that is repeated."""
    steps: list[int] = []
    size = 1
    for n in reversed((*(1,) * (rank - len(shape)), *shape)):
        steps.append(size if n > 1 else 0)
        size *= n
    return steps[::-1]


@dataclass(frozen=True)
class Binary(Op):
    """Two inputs, int8, int16 or float32, whose shapes broadcast as in NumPy; either may be a constant."""

    input_names: ClassVar[tuple[str, ...]] = ("a", "b")
    pointwise: ClassVar[bool] = True

    def infer(self, ins: Ins, outs: Outs) -> Types:
        a, b = need(ins[0]), need(ins[1])
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError as e:
            raise GraphError(b.name, f"shapes {a.shape} and {b.shape} do not broadcast") from e
        if a.dtype != b.dtype:
            raise GraphError(b.name, f"its dtype is {b.dtype}, the other input's {a.dtype}", "the same")
        return [(shape, a.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        if broadcast(need(ins[0]).shape, need(ins[1]).shape) is None:
            return [f"its inputs broadcast in more than {LOOPS} nested loops"]
        if is_float(ins, outs):
            return float_problems(ins, outs)
        a, b, out = need(ins[0]), need(ins[1]), outs[0]
        check = self.check_int16 if a.dtype == "int16" else self.check_int8
        return integer_problems(ins, outs) or check(a, b, out)

    def check_int8(self, a: Tensor, b: Tensor, out: Tensor) -> list[str]:
        """Why this node cannot be executed although its tensors are int8."""
        return []

    def check_int16(self, a: Tensor, b: Tensor, out: Tensor) -> list[str]:
        """The same where they are int16, for which an operator needs a kernel."""
        return [f"{a.name} is int16; int8 and float32 are supported"]

    def call(self, node: Node, graph: Graph, stem: str, fields: Sequence[tuple[str, FieldValue]]) -> Call:
        """The kernel of `stem` for the tensors' dtype, its parameters beginning with the loops."""
        (a, b), out = (need(t) for t in graph.ins(node)), graph.outs(node)[0]
        loops = broadcast(a.shape, b.shape)
        if loops is None:
            raise GraphError(f"node {node.name}", f"broadcasts in more than {LOOPS} nested loops")
        file, function = kernel(stem, a)
        params = Struct(f"{function}_params", (*loops.fields, *fields))
        arguments = (Buf(a.name), Buf(b.name), Buf(out.name), params)
        return Call(file, function, arguments, overlaps=over(a, out) + over(b, out))

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        _expect(n, 2)
        return cls(), (0, 1)

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return [each(outs[0], k) for k, t in enumerate(ins) if channels(need(t)) == channels(outs[0])]

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        shape = outs[0].shape
        found: dict[int, Array] = {}
        for x in (need(t) for t in ins):
            if x.is_const or not x.shape:
                continue
            axis = ties.axis(x) + len(shape) - len(x.shape)
            numbers = ties.along_any(x)
            if shape[axis] != len(numbers):
                ties.keep(numbers)  # one channel, which all of the other's are combined with
            elif axis in found:
                ties.tie(found[axis], numbers)
            else:
                found[axis] = numbers
        if len(found) != 1:
            return ties.blocked(ins, outs)
        [(axis, numbers)] = found.items()
        for x in (need(t) for t in ins):
            own = axis + len(x.shape) - len(shape)
            if x.is_const and own >= 0 and x.shape[own] > 1:
                ties.cut(x, own, numbers)
        return [ties.spread(numbers, shape, axis)]


@dataclass(frozen=True)
class Arithmetic(Binary):
    """ADD, SUB and MUL: two inputs and a fused activation. `options` names the table in the file that holds it."""

    options: ClassVar[str] = ""
    trainable: ClassVar[tuple[int, ...]] = (0, 1)
    fuses_activation: ClassVar[bool] = True
    activation: Activation = "none"

    def learns(self, at: int, t: Tensor) -> bool:
        # Not the scalars of a formula: a half, an epsilon.
        return at in self.trainable and t.size > 1

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        _expect(n, 2)
        return cls(n.activation(n.options(cls.options).FusedActivationFunction())), (0, 1)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        fields = {"FusedActivationFunction": TFLITE_CODE[self.activation]}
        return TfliteOp(self.tflite[0], node.inputs, self.options, fields, 2)


def saturate16(x: Array) -> Array:
    """Clamp to int16's range."""
    return np.clip(x, -(1 << 15), (1 << 15) - 1)


def wrap16(x: Array) -> Array:
    """Reduce modulo 2**16 into int16's range."""
    return wrap32(np.asarray(x, np.int64) << 16) >> 16
