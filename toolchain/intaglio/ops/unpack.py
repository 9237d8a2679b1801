"""UNPACK: a tensor taken apart along an axis, which is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Op, Outs, Picks, Refuse, TfliteOp, Types, arr, need
from .movement import Move, axis_index, itemsize, move, move_call, move_problems, steps, tensor_input

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class Unpack(Op):
    """inputs: (x,), `count` long along `axis`, which counts from the front. Output k is index k along it."""

    name: ClassVar[str] = "unpack"
    tflite: ClassVar[tuple[str, ...]] = ("UNPACK",)
    picks: ClassVar[Picks] = "some"
    axis: int = 0
    count: int = 1

    @property
    def commutes_with_clamp(self) -> bool:
        # It does; but fusing across it would change the bytes of models that were quantized before.
        return False

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if not 0 <= self.axis < len(x.shape) or x.shape[self.axis] != self.count:
            raise GraphError(x.name, f"cannot take {x.shape} apart into {self.count} along axis {self.axis}")
        return [((*x.shape[: self.axis], *x.shape[self.axis + 1 :]), x.dtype)] * self.count

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        return move_problems([x], outs, self._moves(x))

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [np.ascontiguousarray(arr(xs[0]).take(k, axis=self.axis)) for k in range(self.count)]

    def lower(self, node: Node, graph: Graph) -> tuple[Call, ...]:
        x, outs = need(graph.ins(node)[0]), graph.outs(node)
        return tuple(move_call(m, x.name, t.name) for m, t in zip(self._moves(x), outs, strict=True))

    def _moves(self, x: Tensor) -> list[Move]:
        in_step = steps(x.shape)
        slot = (*x.shape[: self.axis], 1, *x.shape[self.axis + 1 :])
        return [move(slot, in_step, steps(slot), itemsize(x), k * in_step[self.axis]) for k in range(self.count)]

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        o, x = n.options("UnpackOptions"), tensor_input(n, 0)
        if o.Num() != len(n.outputs):
            raise Refuse(f"it has {len(n.outputs)} outputs and says {o.Num()}")
        return cls(axis_index(o.Axis(), len(x.shape)), len(n.outputs)), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("UNPACK", node.inputs, "UnpackOptions", {"Num": self.count, "Axis": self.axis}, 2)

    def forward(self, *xs: Any) -> Any:
        return xs[0].unbind(self.axis)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        # Without an index along the axis there would be an output less.
        x = need(ins[0])
        return ties.blocked(ins, outs) if ties.axis(x) == self.axis else ties.moved(self.reference, ins, outs)
