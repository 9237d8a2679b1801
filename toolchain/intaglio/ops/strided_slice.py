"""STRIDED_SLICE and SLICE: every stride-th element of a box, some of its dimensions dropped."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Op, Outs, Picks, Refuse, TfliteOp, Types, arr, need
from .links import Link, each
from .movement import Move, itemsize, move, move_call, move_problems, steps, tensor_input
from .portable import Form, Parts, Runtime
from .reshape import Reshape

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode

ALL = -1


@dataclass(frozen=True)
class StridedSlice(Op):
    """inputs: (x,). Along dimension d: `size[d]` elements from `begin[d]` on, `stride[d]` apart (negative: backwards).

    A size of ALL takes the dimension as it is, whatever the batch may be in training. Masks and negative indices are
    resolved at the door. The dimensions in `shrink` have size 1 and are dropped.
    """

    name: ClassVar[str] = "strided_slice"
    tflite: ClassVar[tuple[str, ...]] = ("STRIDED_SLICE", "SLICE")
    picks: ClassVar[Picks] = "some"
    begin: tuple[int, ...] = ()
    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    shrink: tuple[int, ...] = ()

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if not len(self.begin) == len(self.size) == len(self.stride) == len(x.shape):
            raise GraphError(x.name, f"a slice of {len(self.begin)} dimensions of {x.shape}")
        size = self._sizes(x)
        for d, (b, n, s) in enumerate(zip(self.begin, size, self.stride, strict=True)):
            last = b + (n - 1) * s
            if n < 1 or s == 0 or not 0 <= b < x.shape[d] or not 0 <= last < x.shape[d]:
                raise GraphError(x.name, f"{n} elements from {b} in steps of {s} along {x.shape[d]}")
            if d in self.shrink and n != 1:
                raise GraphError(x.name, f"dimension {d} cannot be dropped: the slice takes {n} of it")
        return [(tuple(n for d, n in enumerate(size) if d not in self.shrink), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        return move_problems([x], outs, [self._move(x)])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        x = arr(xs[0])
        for d in self._cut():
            x = np.take(x, self._indices(d), axis=d)
        return [x.reshape(outs[0].shape)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x = need(graph.ins(node)[0])
        return move_call(self._move(x), x.name, node.outputs[0])

    def _cut(self) -> list[int]:
        """The dimensions of which something is left out or turned round."""
        return [d for d, n in enumerate(self.size) if n != ALL]

    def _sizes(self, x: Tensor) -> tuple[int, ...]:
        return tuple(x.shape[d] if n == ALL else n for d, n in enumerate(self.size))

    def _indices(self, d: int) -> list[int]:
        return [self.begin[d] + i * self.stride[d] for i in range(self.size[d])]

    def _move(self, x: Tensor) -> Move:
        dense = steps(x.shape)
        start = sum(b * s for b, s in zip(self.begin, dense, strict=True))
        in_step = [s * k for s, k in zip(dense, self.stride, strict=True)]
        size = self._sizes(x)
        return move(size, in_step, steps(size), itemsize(x), start)

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        x = tensor_input(n, 0)
        return (_read_slice(n, x) if n.builtin == "SLICE" else _read_strided_slice(n, x)), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        rank = range(len(self.begin))
        size = self._sizes(need(graph.ins(node)[0]))
        end = [b + c * s for b, c, s in zip(self.begin, size, self.stride, strict=True)]
        # Backwards to the first element the end would be below 0, which TFLite counts from the back: mask it instead.
        end_mask = sum(1 << d for d in rank if end[d] < 0)
        values = (self.begin, [max(e, 0) for e in end], self.stride)
        fields = {"EndMask": end_mask, "ShrinkAxisMask": sum(1 << d for d in self.shrink)}
        inputs: tuple[str | Array, ...] = (node.inputs[0], *(np.array(v, np.int32) for v in values))
        return TfliteOp("STRIDED_SLICE", inputs, "StridedSliceOptions", fields, 2)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        """TFLM cuts four dimensions, LiteRT five: of more, one after another."""
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        most = 4 if "tflm" in runtimes else 5
        if len(x.shape) <= most:
            return None
        parts, at, sizes = Parts(node, graph), x.name, list(x.shape)
        for d in self._cut():
            flat = parts.add(Reshape((math.prod(sizes[:d]), sizes[d], math.prod(sizes[d + 1 :]))), (at,))
            one = StridedSlice((0, self.begin[d], 0), (ALL, self.size[d], ALL), (1, self.stride[d], 1))
            at, sizes[d] = parts.add(one, (flat,)), self.size[d]
        parts.add(Reshape(out.shape), (at,))
        runtime = "TFLM" if "tflm" in runtimes else "LiteRT"
        return parts.form(f"one dimension after another: {runtime} cuts {most} of them at most")

    def forward(self, *xs: Any) -> Any:
        import torch

        x = xs[0]
        for d in self._cut():
            x = x.index_select(d, torch.tensor(self._indices(d), device=x.device))
        for d in sorted(self.shrink, reverse=True):
            x = x.squeeze(d)
        return x

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return [each(outs[0])] if self.size[-1] == ALL and len(self.size) - 1 not in self.shrink else None

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        # What is left of every second channel is no longer every second one.
        axis = ties.axis(need(ins[0]))
        if axis >= 0 and abs(self.stride[axis]) > 1:
            return ties.blocked(ins, outs)
        return ties.moved(self.reference, ins, outs)

    def fitted(self, kept: Sequence[Mapping[int, Array]], outs: Outs) -> Op:
        begin, size = list(self.begin), list(self.size)
        for d, left in kept[0].items():
            if size[d] != ALL:
                taken = np.flatnonzero(np.isin(left, self._indices(d))).tolist()
                begin[d], size[d] = taken[0] if self.stride[d] > 0 else taken[-1], len(taken)
        return replace(self, begin=tuple(begin), size=tuple(size))


def _read_slice(n: TfliteNode, x: Tensor) -> StridedSlice:
    begin, size = n.ints(1), n.ints(2)
    if not len(begin) == len(size) == len(x.shape):
        raise Refuse(f"it slices {len(begin)} and {len(size)} dimensions of {len(x.shape)}")
    # Here -1 is all that is left from begin on.
    taken = [d - b if c == -1 else c for b, c, d in zip(begin, size, x.shape, strict=True)]
    return StridedSlice(begin, _all_or(taken, x), (1,) * len(begin))


def _all_or(size: Sequence[int], x: Tensor, stride: Sequence[int] = ()) -> tuple[int, ...]:
    """ALL for the dimensions that are taken whole and forwards."""
    step = stride or (1,) * len(size)
    return tuple(ALL if n == d and s == 1 else n for n, d, s in zip(size, x.shape, step, strict=True))


def _read_strided_slice(n: TfliteNode, x: Tensor) -> StridedSlice:
    o = n.options("StridedSliceOptions")
    if o.EllipsisMask() or o.NewAxisMask():
        raise Refuse("it has an ellipsis or new-axis mask, which TFLM does not execute")
    if o.Offset():
        raise Refuse("its ends are offsets from its begins, which TFLM does not execute")
    begin, end, stride = n.ints(1), n.ints(2), n.ints(3)
    rank = len(x.shape)
    if not len(begin) == len(end) == len(stride) == rank:
        raise Refuse(f"it has {len(begin)} begins, {len(end)} ends and {len(stride)} strides for {rank} dimensions")
    shrink = tuple(d for d in range(rank) if o.ShrinkAxisMask() >> d & 1)
    starts: list[int] = []
    sizes: list[int] = []
    for d, extent in enumerate(x.shape):
        if stride[d] == 0 or (d in shrink and stride[d] < 0):
            raise Refuse(f"its stride along dimension {d} is {stride[d]}")
        first = None if o.BeginMask() >> d & 1 else begin[d]
        if d in shrink:
            index = 0 if first is None else first
            if not -extent <= index < extent:
                raise Refuse(f"it takes index {index} of {extent}")
            taken = range(index % extent, index % extent + 1)
        else:
            # Python's slices clamp and count from the back as TensorFlow's do.
            taken = range(extent)[slice(first, None if o.EndMask() >> d & 1 else end[d], stride[d])]
        if not len(taken):
            raise Refuse(f"it takes nothing of dimension {d}")
        starts.append(taken[0])
        sizes.append(len(taken))
    strides = tuple(s if c > 1 else 1 for s, c in zip(stride, sizes, strict=True))
    return StridedSlice(tuple(starts), _all_or(sizes, x, strides), strides, shrink)
