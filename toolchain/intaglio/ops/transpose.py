"""TRANSPOSE: dimensions in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Op, Outs, Refuse, TfliteOp, Types, arr, need
from .movement import Move, axis_index, itemsize, move, move_call, move_problems, steps, tensor_input

if TYPE_CHECKING:
    from ..compress.dependencies import Channels
    from ..frontends.tflite import TfliteNode
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Transpose(Op):
    """inputs: (x,). Dimension i of the output is dimension perm[i] of x."""

    name: ClassVar[str] = "transpose"
    tflite: ClassVar[tuple[str, ...]] = ("TRANSPOSE",)
    perm: tuple[int, ...] = ()

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if sorted(self.perm) != list(range(len(x.shape))):
            raise GraphError(x.name, f"{self.perm} is not an order of the dimensions of {x.shape}")
        return [(tuple(x.shape[p] for p in self.perm), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        return move_problems([x], outs, [self._move(x, outs[0])])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [np.ascontiguousarray(arr(xs[0]).transpose(self.perm))]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        return move_call(self._move(x, out), x.name, out.name)

    def _move(self, x: Tensor, out: Tensor) -> Move:
        in_step = steps(x.shape)
        return move(out.shape, [in_step[p] for p in self.perm], steps(out.shape), itemsize(x))

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        rank = len(tensor_input(n, 0).shape)
        found = n.ints(1)
        if len(found) != rank:
            raise Refuse(f"it orders {len(found)} dimensions of {rank}")
        return cls(tuple(axis_index(p, rank) for p in found)), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        perm = np.array(self.perm, np.int32)
        return TfliteOp("TRANSPOSE", (node.inputs[0], perm), "TransposeOptions", {}, 2)

    def forward(self, *xs: Any) -> Any:
        return xs[0].permute(self.perm)

    def channels(self, ins: Ins, outs: Outs, ties: Channels) -> list[Array]:
        return ties.moved(self, ins, outs)
