"""RESIZE_BILINEAR: each output pixel is weighed from the four input pixels around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array
from .base import Buf, Call, Const, Ins, Outs, Struct, arr, need
from .float32 import float_problems, is_float, rounded
from .integer import int8_problems
from .movement import alike
from .resize import Resize

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies

BITS = 10
"""Positions between int8 pixels are in 1/1024: ITG_RESIZE_BILINEAR_BITS in resize_bilinear.h."""


@dataclass(frozen=True)
class ResizeBilinear(Resize):
    """inputs: x [1][h][w][c], int8 or float32. Output: [1][size[0]][size[1]][c], quantized as x is."""

    name: ClassVar[str] = "resize_bilinear"
    tflite: ClassVar[tuple[str, ...]] = ("RESIZE_BILINEAR",)
    options: ClassVar[str] = "ResizeBilinearOptions"
    homogeneous: ClassVar[bool] = True

    @property
    def shares_quant(self) -> bool:
        return True

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if problems := self.size_problems(x):
            return problems
        if self.align_corners and self.half_pixel_centers:
            return ["it aligns both corners and half pixels, which contradict each other"]
        if is_float(ins, outs):
            return float_problems(ins, outs)
        if problems := int8_problems(ins, outs):
            return problems
        return [] if alike(x, outs[0]) else [f"{outs[0].name} must be quantized as {x.name} is"]

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        shape = need(ins[0]).shape
        if is_float(ins, outs):
            x: Array = arr(xs[0]).astype(np.float64)
            for axis in (1, 2):
                low, high, weight = _between(self._floats(shape[axis], self.size[axis - 1]), shape[axis])
                along = weight.astype(np.float64).reshape(-1, *[1] * (3 - axis))
                x = x.take(low, axis) * (1 - along) + x.take(high, axis) * along
            return [rounded(x)]
        total: Array = arr(xs[0]).astype(np.int64)
        for axis in (1, 2):
            low, high, steps = self._fixed(shape[axis], self.size[axis - 1])
            along = steps.reshape(-1, *[1] * (3 - axis))
            total = total.take(low, axis) * ((1 << BITS) - along) + total.take(high, axis) * along
        half = 1 << 2 * BITS - 1
        return [(np.sign(total) * ((np.abs(total) + half) >> 2 * BITS)).astype(np.int8)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        in_float = is_float([x], [out])
        tables: list[Const] = []
        for axis, what in ((1, "row"), (2, "column")):
            length, size = x.shape[axis], self.size[axis - 1]
            weight: Array
            if in_float:
                low, high, weight = _between(self._floats(length, size), length)
            else:
                low, high, weight = self._fixed(length, size)
                weight = weight.astype(np.int16)
            tables += [
                Const(f"{what}_low", low.astype(np.int16), f"input {what} before each output {what}"),
                Const(f"{what}_high", high.astype(np.int16), f"input {what} after it"),
                Const(f"{what}_weight", weight, "how near it is to the one after"),
            ]
        fields = (("out_h", self.size[0]), ("out_w", self.size[1]), ("in_w", x.shape[2]), ("channels", x.shape[3]))
        kernel, dtype = ("resize_bilinear_f32", "f32") if in_float else ("resize_bilinear", "s8")
        function = f"itg_resize_bilinear_{dtype}"
        names = ("row_low", "row_high", "row_weight", "column_low", "column_high", "column_weight")
        params = Struct(f"{function}_params", (*fields, *zip(names, tables, strict=True)))
        return Call(kernel, function, (Buf(x.name), Buf(out.name), params))

    def _fixed(self, length: int, size: int) -> tuple[Array, Array, Array]:
        """Input index before and after each output index, and the latter's weight in 1/1024."""
        one = 1 << BITS
        corners = self.align_corners and size > 1
        rest = size - 1 if corners else size
        scale = (one * (length - 1 if corners else length) + rest // 2) // rest
        at = np.arange(size, dtype=np.int64) * scale
        if self.half_pixel_centers:
            at = at + scale // 2 - one // 2
        low = np.maximum(at, 0) // one
        high = np.clip(-(-at // one), 0, length - 1)
        # Left of the first pixel, and right of the last, both are the same one: what the weights are does not matter.
        low = np.minimum(low, length - 1)
        return low, high, np.where(low == high, 0, at - one * low)

    def _floats(self, length: int, size: int) -> Array:
        """The positions of the output pixels among the input's, in float32 steps as TFLite has them."""
        corners = self.align_corners and size > 1
        scale = np.float32(length - 1) / np.float32(size - 1) if corners else np.float32(length) / np.float32(size)
        at = np.arange(size).astype(np.float32)
        half = np.float32(0.5)
        return (at + half) * scale - half if self.half_pixel_centers else at * scale

    def forward(self, *xs: Any) -> Any:
        import torch

        x = xs[0]
        for axis in (1, 2):
            low, high, weight = _between(self._floats(x.shape[axis], self.size[axis - 1]), x.shape[axis])
            along = torch.tensor(weight, dtype=x.dtype, device=x.device).reshape(-1, *[1] * (3 - axis))
            before, after = (x.index_select(axis, torch.tensor(i, device=x.device)) for i in (low, high))
            x = before * (1 - along) + after * along
        return x

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return [ties.spread(ties.along(need(ins[0]), 3), outs[0].shape, 3)]


def _between(at: Array, length: int) -> tuple[Array, Array, Array]:
    """The pixel before each float32 position, the one after, and the weight of the one after."""
    low = np.clip(np.floor(at), 0, length - 1).astype(np.int64)
    high = np.clip(np.ceil(at), 0, length - 1).astype(np.int64)
    return low, high, np.where(low == high, np.float32(0), at - low.astype(np.float32)).astype(np.float32)
