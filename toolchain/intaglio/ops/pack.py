"""PACK: tensors of one shape, stacked along a new axis."""

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
class Pack(Op):
    """inputs: any number of tensors of one shape. Input k is index k of the output along `axis`, which counts from the
    front."""

    name: ClassVar[str] = "pack"
    tflite: ClassVar[tuple[str, ...]] = ("PACK",)
    repeats: ClassVar[bool] = True
    picks: ClassVar[Picks] = "all"
    axis: int = 0

    def infer(self, ins: Ins, outs: Outs) -> Types:
        xs = [need(t) for t in ins]
        if not xs or not 0 <= self.axis <= len(xs[0].shape):
            raise GraphError("pack", f"axis {self.axis} of {[t.shape for t in xs]}", "0 up to their rank")
        if len({(t.shape, t.dtype) for t in xs}) > 1:
            raise GraphError("pack", f"{[(t.dtype, t.shape) for t in xs[:8]]}", "tensors of one shape and dtype")
        shape = xs[0].shape
        return [((*shape[: self.axis], len(xs), *shape[self.axis :]), xs[0].dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        xs = [need(t) for t in ins]
        return move_problems(xs, outs, self._moves(xs, outs[0]))

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [np.stack([arr(x) for x in xs], axis=self.axis)]

    def lower(self, node: Node, graph: Graph) -> tuple[Call, ...]:
        xs, out = [need(t) for t in graph.ins(node)], graph.outs(node)[0]
        moves = self._moves(xs, out)
        return tuple(move_call(m, t.name, out.name) for m, t in zip(moves, xs, strict=True))

    def _moves(self, xs: Sequence[Tensor], out: Tensor) -> list[Move]:
        out_step = steps(out.shape)
        slot = (*out.shape[: self.axis], 1, *out.shape[self.axis + 1 :])
        return [move(slot, steps(slot), out_step, itemsize(t), 0, k * out_step[self.axis]) for k, t in enumerate(xs)]

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        o = n.options("PackOptions")
        kept = tuple(range(len(n.inputs)))
        if not kept or o.ValuesCount() != len(kept):
            raise Refuse(f"it has {len(kept)} inputs and says {o.ValuesCount()}")
        xs = [tensor_input(n, k) for k in kept]
        return cls(axis_index(o.Axis(), len(xs[0].shape) + 1)), kept

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        fields = {"ValuesCount": len(node.inputs), "Axis": self.axis}
        return TfliteOp("PACK", node.inputs, "PackOptions", fields, 2)

    def forward(self, *xs: Any) -> Any:
        import torch

        return torch.stack(xs, dim=self.axis)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return ties.moved(self.reference, ins, outs)
