"""CONCATENATION: tensors one behind the other along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Op, Outs, Picks, Refuse, TfliteOp, Types, arr, need
from .links import Link, pieces
from .movement import Move, axis_index, itemsize, move, move_call, move_problems, steps, tensor_input

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class Concatenation(Op):
    """inputs: any number of tensors of one shape but for `axis`, which counts from the front."""

    name: ClassVar[str] = "concatenation"
    repeats: ClassVar[bool] = True
    tflite: ClassVar[tuple[str, ...]] = ("CONCATENATION",)
    picks: ClassVar[Picks] = "all"
    axis: int = 0

    def infer(self, ins: Ins, outs: Outs) -> Types:
        xs = [need(t) for t in ins]
        if not xs or not 0 <= self.axis < len(xs[0].shape):
            raise GraphError("concatenation", f"axis {self.axis} of {[t.shape for t in xs]}", "an axis of its inputs")
        rests = {(t.dtype, t.shape[: self.axis], t.shape[self.axis + 1 :]) for t in xs}
        if len(rests) > 1 or any(len(t.shape) != len(xs[0].shape) for t in xs):
            raise GraphError("concatenation", f"{[(t.dtype, t.shape) for t in xs]} do not fit along axis {self.axis}")
        first = xs[0].shape
        total = sum(t.shape[self.axis] for t in xs)
        return [((*first[: self.axis], total, *first[self.axis + 1 :]), xs[0].dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        xs = [need(t) for t in ins]
        return move_problems(xs, outs, self._moves(xs, outs[0]))

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [np.concatenate([arr(x) for x in xs], axis=self.axis)]

    def lower(self, node: Node, graph: Graph) -> tuple[Call, ...]:
        xs, out = [need(t) for t in graph.ins(node)], graph.outs(node)[0]
        moves = self._moves(xs, out)
        return tuple(move_call(m, t.name, out.name) for m, t in zip(moves, xs, strict=True))

    def _moves(self, xs: Sequence[Tensor], out: Tensor) -> list[Move]:
        out_step = steps(out.shape)
        moves: list[Move] = []
        start = 0
        for t in xs:
            moves.append(move(t.shape, steps(t.shape), out_step, itemsize(t), 0, start * out_step[self.axis]))
            start += t.shape[self.axis]
        return moves

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        o = n.options("ConcatenationOptions")
        if n.activation(o.FusedActivationFunction()) != "none":
            raise Refuse("it has a fused activation, which int8 concatenation does not execute")
        axis = axis_index(o.Axis(), len(tensor_input(n, 0).shape))
        kept = tuple(range(len(n.inputs)))
        for k in kept:
            tensor_input(n, k)
        return cls(axis), kept

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("CONCATENATION", node.inputs, "ConcatenationOptions", {"Axis": self.axis}, 2)

    def forward(self, *xs: Any) -> Any:
        import torch

        return torch.cat(xs, dim=self.axis)

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return pieces([need(t) for t in ins], self.moves_channels(len(outs[0].shape)), True)

    def moves_channels(self, rank: int) -> bool:
        return self.axis == rank - 1

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return ties.moved(self.reference, ins, outs)
