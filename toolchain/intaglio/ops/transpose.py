"""TRANSPOSE: dimensions in another order."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Op, Outs, Picks, Refuse, TfliteOp, Types, arr, need
from .links import Link, each
from .movement import Move, axis_index, itemsize, move, move_call, move_problems, steps, tensor_input
from .portable import Form, Parts, Runtime
from .reshape import Reshape

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode

MOST_DIMENSIONS = 5
"""Of TFLM."""


@dataclass(frozen=True)
class Transpose(Op):
    """inputs: (x,). Dimension i of the output is dimension perm[i] of x."""

    name: ClassVar[str] = "transpose"
    tflite: ClassVar[tuple[str, ...]] = ("TRANSPOSE",)
    picks: ClassVar[Picks] = "all"
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

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        """TFLM orders five dimensions: more are merged, and where that is not enough moved one after another."""
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        if len(x.shape) <= MOST_DIMENSIONS:
            return None
        parts = Parts(node, graph)
        shape, perm = _merged(x.shape, self.perm)
        at = parts.add(Reshape(shape), (x.name,))
        order = list(range(len(shape)))
        if len(shape) <= MOST_DIMENSIONS:
            at, perm = parts.add(Transpose(perm), (at,)), ()
        for i, wanted in enumerate(perm):
            j = order.index(wanted)
            if j > i:
                sizes = [shape[d] for d in order]
                blocks = (math.prod(sizes[:i]), math.prod(sizes[i:j]), sizes[j], math.prod(sizes[j + 1 :]))
                at = parts.add(Transpose((0, 2, 1, 3)), (parts.add(Reshape(blocks), (at,)),))
                order.insert(i, order.pop(j))
        parts.add(Reshape(out.shape), (at,))
        return parts.form(f"in fewer dimensions than {len(x.shape)}: TFLM orders {MOST_DIMENSIONS} at most")

    def forward(self, *xs: Any) -> Any:
        return xs[0].permute(self.perm)

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return [each(outs[0])] if self.perm[-1] == len(self.perm) - 1 else None

    def is_identity(self, ins: Ins, outs: Outs) -> bool:
        return self.perm == tuple(range(len(self.perm)))

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return ties.moved(self.reference, ins, outs)


def _merged(shape: Sequence[int], perm: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same reordering of fewer dimensions: those of 1 left away, neighbours that stay neighbours taken together."""
    kept = [p for p in perm if shape[p] > 1]
    runs: list[list[int]] = []
    for p in kept:
        last = runs[-1][-1] if runs else None
        if last is not None and p > last and all(shape[d] == 1 for d in range(last + 1, p)):
            runs[-1].append(p)
        else:
            runs.append([p])
    before = sorted(runs)
    sizes = tuple(math.prod(shape[d] for d in run) for run in before)
    return (sizes, tuple(before.index(run) for run in runs)) if runs else ((1,), (0,))
