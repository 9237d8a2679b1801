"""RESIZE_NEAREST_NEIGHBOR: each output pixel is a copy of an input pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array
from .base import Buf, Call, Const, Ins, Op, Outs, Refuse, Struct, TfliteOp, Types, arr, need
from .movement import itemsize, move_problems, tensor_input
from .window import MAX_SIDE, Pair, hw_of

if TYPE_CHECKING:
    from ..compress.dependencies import Channels
    from ..frontends.tflite import TfliteNode
    from ..graph import Graph, Node

MAX_ROWS = 1 << 15
"""What the kernel's int16 tables can name."""


@dataclass(frozen=True)
class ResizeNearestNeighbor(Op):
    """inputs: x [1][h][w][c]. Output: [1][size[0]][size[1]][c].

    `align_corners` maps the centres of the corner pixels onto each other; `half_pixel_centers` puts pixel i at i + 0.5.
    """

    name: ClassVar[str] = "resize_nearest_neighbor"
    tflite: ClassVar[tuple[str, ...]] = ("RESIZE_NEAREST_NEIGHBOR",)
    size: Pair = (1, 1)
    align_corners: bool = False
    half_pixel_centers: bool = False

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        hw_of(x.shape)
        if any(not 1 <= s <= MAX_SIDE for s in self.size):
            raise GraphError(x.name, f"cannot be resized to {self.size}", f"1..{MAX_SIDE}")
        return [((x.shape[0], *self.size, x.shape[3]), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if x.shape[0] != 1:
            return [f"its batch is {x.shape[0]}; 1 is supported"]
        if max(x.shape[1:3]) > MAX_ROWS:
            return [f"its input is {x.shape[1]} x {x.shape[2]}; {MAX_ROWS} rows and columns are supported"]
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

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        if len(tensor_input(n, 0).shape) != 4:
            raise Refuse("it needs a 4-D input")
        size = n.ints(1)
        if len(size) != 2:
            raise Refuse(f"its size has {len(size)} numbers, not a height and a width")
        o = n.options("ResizeNearestNeighborOptions")
        return cls((size[0], size[1]), bool(o.AlignCorners()), bool(o.HalfPixelCenters())), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        fields = {"AlignCorners": self.align_corners, "HalfPixelCenters": self.half_pixel_centers}
        inputs = (node.inputs[0], np.array(self.size, np.int32))
        return TfliteOp("RESIZE_NEAREST_NEIGHBOR", inputs, "ResizeNearestNeighborOptions", fields, 3)

    def forward(self, *xs: Any) -> Any:
        import torch

        rows, columns = (torch.tensor(i, device=xs[0].device) for i in self.sources(xs[0].shape))
        return xs[0].index_select(1, rows).index_select(2, columns)

    def channels(self, ins: Ins, outs: Outs, ties: Channels) -> list[Array]:
        return [ties.spread(ties.along(need(ins[0]), 3), outs[0].shape, 3)]
