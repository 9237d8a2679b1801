"""RESIZE_NEAREST_NEIGHBOR: each output pixel is a copy of an input pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array
from .base import Buf, Call, Const, Ins, Outs, Picks, Struct, arr, need
from .links import Link, each
from .movement import itemsize, move_problems
from .resize import Resize

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies


@dataclass(frozen=True)
class ResizeNearestNeighbor(Resize):
    """inputs: x [1][h][w][c]. Output: [1][size[0]][size[1]][c]."""

    name: ClassVar[str] = "resize_nearest_neighbor"
    tflite: ClassVar[tuple[str, ...]] = ("RESIZE_NEAREST_NEIGHBOR",)
    options: ClassVar[str] = "ResizeNearestNeighborOptions"
    picks: ClassVar[Picks] = "all"

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if problems := self.size_problems(x):
            return problems
        return move_problems([x], outs)

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        rows, columns = self.sources(need(ins[0]).shape)
        return [np.ascontiguousarray(arr(xs[0])[:, rows][:, :, columns])]

    def lower(self, node: Node, graph: Graph) -> Call:
        x = need(graph.ins(node)[0])
        rows, columns = self.sources(x.shape)
        pixel = x.shape[3] * itemsize(x)
        params = Struct(
            "itg_resize_nearest_neighbor_params",
            (("out_h", self.size[0]), ("out_w", self.size[1]), ("in_row_bytes", x.shape[2] * pixel),
             ("pixel_bytes", pixel)),
        )  # fmt: skip
        return Call(
            "resize_nearest_neighbor",
            "itg_resize_nearest_neighbor",
            (
                Buf(x.name), Const("row", rows.astype(np.int16), "input row of each output row"),
                Const("column", columns.astype(np.int16), "input column of each output column"),
                Buf(node.outputs[0]), params,
            ),
        )  # fmt: skip

    def sources(self, shape: Sequence[int]) -> tuple[Array, Array]:
        """The input row of each output row, and the input column of each output column."""
        return self._nearest(shape[1], self.size[0]), self._nearest(shape[2], self.size[1])

    def _nearest(self, length: int, size: int) -> Array:
        # Every step in float32, as TFLM has it: ties depend on it.
        corners = self.align_corners and size > 1
        scale = np.float32(length - 1) / np.float32(size - 1) if corners else np.float32(length) / np.float32(size)
        at = (np.arange(size).astype(np.float32) + np.float32(0.5 if self.half_pixel_centers else 0.0)) * scale
        # Positions are not negative: adding a half and cutting off rounds half away from zero (exactly, in double).
        nearest = np.floor(at.astype(np.float64) + 0.5) if self.align_corners else np.floor(at)
        return np.minimum(nearest, length - 1).astype(np.int64)

    def forward(self, *xs: Any) -> Any:
        import torch

        rows, columns = (torch.tensor(i, device=xs[0].device) for i in self.sources(xs[0].shape))
        return xs[0].index_select(1, rows).index_select(2, columns)

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return [each(outs[0])]

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return [ties.spread(ties.along(need(ins[0]), 3), outs[0].shape, 3)]
