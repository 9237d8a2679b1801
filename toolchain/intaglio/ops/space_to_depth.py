"""SPACE_TO_DEPTH: blocks of pixels become channels; the inverse of DEPTH_TO_SPACE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Op, Outs, Picks, TfliteOp, Types, arr, need
from .depth_to_space import block_of, block_steps
from .movement import Move, itemsize, move, move_call, move_problems
from .window import hw_of

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class SpaceToDepth(Op):
    """inputs: x [n][h][w][c]. Output: [n][h / block][w / block][c * block^2]; channels as in DepthToSpace."""

    name: ClassVar[str] = "space_to_depth"
    tflite: ClassVar[tuple[str, ...]] = ("SPACE_TO_DEPTH",)
    picks: ClassVar[Picks] = "all"
    block: int = 2

    @property
    def forward_is_exact(self) -> bool:
        # It would be; but its gradients would be rounded otherwise, and trainings come out with other bytes.
        return False

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        hw_of(x.shape)
        n, h, w, c = x.shape
        if self.block < 1 or h % self.block or w % self.block:
            raise GraphError(x.name, f"{h} x {w} does not divide into blocks of {self.block} x {self.block}")
        return [((n, h // self.block, w // self.block, c * self.block**2), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        return move_problems([x], outs, [self._move(x)])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        n, h, w, c = need(ins[0]).shape
        b = self.block
        blocks = arr(xs[0]).reshape(n, h // b, b, w // b, b, c)
        return [np.ascontiguousarray(blocks.transpose(0, 1, 3, 2, 4, 5).reshape(outs[0].shape))]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        return move_call(self._move(x), x.name, out.name)

    def _move(self, x: Tensor) -> Move:
        spread, together = block_steps(x.shape, self.block)
        size = [n for n, _ in spread]
        return move(size, [s for _, s in spread], [s for _, s in together], itemsize(x))

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        return cls(block_of(n, "SpaceToDepthOptions")), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("SPACE_TO_DEPTH", node.inputs, "SpaceToDepthOptions", {"BlockSize": self.block})

    def forward(self, *xs: Any) -> Any:
        n, h, w, c = xs[0].shape
        b = self.block
        blocks = xs[0].reshape(n, h // b, b, w // b, b, c).permute(0, 1, 3, 2, 4, 5)
        return blocks.reshape(n, h // b, w // b, c * b**2)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return [ties.spread(np.tile(ties.along(need(ins[0]), 3), self.block**2), outs[0].shape, 3)]
