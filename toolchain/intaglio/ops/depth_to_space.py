"""DEPTH_TO_SPACE: channels become blocks of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Op, Outs, Picks, Refuse, TfliteOp, Types, arr, need
from .movement import Move, itemsize, move, move_call, move_problems, tensor_input
from .window import hw_of

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class DepthToSpace(Op):
    """inputs: x [n][h][w][c]. Output: [n][h * block][w * block][c / block^2].

    Channel (i * block + j) * c_out + k of a pixel is channel k of the pixel in row i, column j of its block (TFLite,
    and ONNX's mode DCR).
    """

    name: ClassVar[str] = "depth_to_space"
    tflite: ClassVar[tuple[str, ...]] = ("DEPTH_TO_SPACE",)
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
        if self.block < 1 or c % self.block**2:
            raise GraphError(x.name, f"{c} channels do not divide into blocks of {self.block} x {self.block}")
        return [((n, h * self.block, w * self.block, c // self.block**2), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        return move_problems([x], outs, [self._move(x, outs[0])])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        n, h, w, c = outs[0].shape
        b = self.block
        blocks = arr(xs[0]).reshape(n, h // b, w // b, b, b, c)
        return [np.ascontiguousarray(blocks.transpose(0, 1, 3, 2, 4, 5).reshape(outs[0].shape))]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        return move_call(self._move(x, out), x.name, out.name)

    def _move(self, x: Tensor, out: Tensor) -> Move:
        spread, together = block_steps(out.shape, self.block)
        size = [n for n, _ in spread]
        return move(size, [s for _, s in together], [s for _, s in spread], itemsize(x))

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        return cls(block_of(n, "DepthToSpaceOptions")), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("DEPTH_TO_SPACE", node.inputs, "DepthToSpaceOptions", {"BlockSize": self.block})

    def forward(self, *xs: Any) -> Any:
        n, h, w, c = xs[0].shape
        b = self.block
        blocks = xs[0].reshape(n, h, w, b, b, c // b**2).permute(0, 1, 3, 2, 4, 5)
        return blocks.reshape(n, h * b, w * b, c // b**2)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        # Output channel k is made of the b^2 channels k, c + k, 2 c + k, ...
        rows = ties.along(need(ins[0]), 3).reshape(self.block**2, -1)
        ties.tie(rows[:1], rows)
        return [ties.spread(rows[0], outs[0].shape, 3)]


def block_steps(shape: Sequence[int], b: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Loops as (size, step in elements) over an image [n][h][w][c], block by block: once through the image itself, once
    through the same elements where a block of b x b pixels lies together as the channels of one pixel."""
    n, h, w, c = shape
    sizes = (n, h // b, b, w // b, b, c)
    spread = (h * w * c, b * w * c, w * c, b * c, c, 1)
    together = (h * w * c, b * w * c, b * c, b * b * c, c, 1)
    return list(zip(sizes, spread, strict=True)), list(zip(sizes, together, strict=True))


def block_of(n: TfliteNode, options: str) -> int:
    if len(tensor_input(n, 0).shape) != 4:
        raise Refuse("it needs a 4-D input")
    return int(n.options(options).BlockSize())
