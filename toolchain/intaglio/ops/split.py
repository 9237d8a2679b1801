"""SPLIT and SPLIT_V: a tensor cut along an axis into several outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Op, Outs, Picks, Refuse, TfliteOp, Types, arr, need
from .links import Link, pieces
from .movement import Move, axis_index, itemsize, move, move_call, move_problems, one_int, steps, tensor_input

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class Split(Op):
    """inputs: (x,). Output k is `sizes[k]` long along `axis`, which counts from the front; the sizes add up to x's."""

    name: ClassVar[str] = "split"
    tflite: ClassVar[tuple[str, ...]] = ("SPLIT", "SPLIT_V")
    picks: ClassVar[Picks] = "some"
    axis: int = 0
    sizes: tuple[int, ...] = ()

    @property
    def commutes_with_clamp(self) -> bool:
        # It does; but fusing across it would change the bytes of models that were quantized before.
        return False

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if not 0 <= self.axis < len(x.shape) or any(s < 1 for s in self.sizes):
            raise GraphError(x.name, f"cannot cut {x.shape} into {self.sizes} along axis {self.axis}")
        if sum(self.sizes) != x.shape[self.axis]:
            raise GraphError(x.name, f"cannot cut {x.shape[self.axis]} into {self.sizes}", "sizes that add up to it")
        return [((*x.shape[: self.axis], s, *x.shape[self.axis + 1 :]), x.dtype) for s in self.sizes]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        return move_problems([x], outs, self._moves(x, outs))

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        cuts = np.cumsum(self.sizes)[:-1]
        return [np.ascontiguousarray(part) for part in np.split(arr(xs[0]), cuts, axis=self.axis)]

    def lower(self, node: Node, graph: Graph) -> tuple[Call, ...]:
        x, outs = need(graph.ins(node)[0]), graph.outs(node)
        return tuple(move_call(m, x.name, t.name) for m, t in zip(self._moves(x, outs), outs, strict=True))

    def _moves(self, x: Tensor, outs: Outs) -> list[Move]:
        in_step = steps(x.shape)
        moves: list[Move] = []
        start = 0
        for t in outs:
            moves.append(move(t.shape, in_step, steps(t.shape), itemsize(x), start * in_step[self.axis]))
            start += t.shape[self.axis]
        return moves

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        data, axis_at = (1, 0) if n.builtin == "SPLIT" else (0, 2)
        x = tensor_input(n, data)
        axis = axis_index(one_int(n, axis_at), len(x.shape))
        count, length = len(n.outputs), x.shape[axis]
        if n.builtin == "SPLIT":
            if not count or length % count:
                raise Refuse(f"it cuts {length} into {count} equal parts")
            return cls(axis, (length // count,) * count), (data,)
        sizes = n.ints(1)
        if len(sizes) != count or sizes.count(-1) > 1 or any(s < 1 and s != -1 for s in sizes):
            raise Refuse(f"its sizes are {sizes[:8]} for {count} outputs")
        # One size may be -1: what the others leave.
        rest = length - sum(s for s in sizes if s != -1)
        return cls(axis, tuple(rest if s == -1 else s for s in sizes)), (data,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        axis, count = np.array(self.axis, np.int32), len(self.sizes)
        if len(set(self.sizes)) == 1:
            return TfliteOp("SPLIT", (axis, node.inputs[0]), "SplitOptions", {"NumSplits": count}, 2)
        sizes = np.array(self.sizes, np.int32)
        return TfliteOp("SPLIT_V", (node.inputs[0], sizes, axis), "SplitVOptions", {"NumSplits": count}, 2)

    def forward(self, *xs: Any) -> Any:
        return xs[0].split(list(self.sizes), dim=self.axis)

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return pieces(outs, self.moves_channels(len(outs[0].shape)), False)

    def moves_channels(self, rank: int) -> bool:
        return self.axis == rank - 1

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return ties.moved(self.reference, ins, outs)

    def fitted(self, kept: Sequence[Mapping[int, Array]], outs: Outs) -> Op:
        return replace(self, sizes=tuple(t.shape[self.axis] for t in outs))
