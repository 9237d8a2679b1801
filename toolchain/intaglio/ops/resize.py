"""What RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR share: attributes, shape rule, reading and writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Tensor
from .base import Ins, Op, Outs, Refuse, TfliteOp, Types, need
from .movement import tensor_input
from .window import MAX_SIDE, Pair, hw_of

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .tflite_node import TfliteNode

MAX_ROWS = 1 << 15
"""What the kernels' int16 tables can name."""


@dataclass(frozen=True)
class Resize(Op):
    """inputs: x [1][h][w][c]. Output: [1][size[0]][size[1]][c].

    `align_corners` maps the centres of the corner pixels onto each other; `half_pixel_centers` puts pixel i at i + 0.5.
    """

    options: ClassVar[str] = ""
    """The table of options in a .tflite."""
    size: Pair = (1, 1)
    align_corners: bool = False
    half_pixel_centers: bool = False

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        hw_of(x.shape)
        if any(not 1 <= s <= MAX_SIDE for s in self.size):
            raise GraphError(x.name, f"cannot be resized to {self.size}", f"1..{MAX_SIDE}")
        return [((x.shape[0], *self.size, x.shape[3]), x.dtype)]

    def size_problems(self, x: Tensor) -> list[str]:
        """Why the kernels cannot take x."""
        if x.shape[0] != 1:
            return [f"its batch is {x.shape[0]}; 1 is supported"]
        if max(x.shape[1:3]) > MAX_ROWS:
            return [f"its input is {x.shape[1]} x {x.shape[2]}; {MAX_ROWS} rows and columns are supported"]
        return []

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        if len(tensor_input(n, 0).shape) != 4:
            raise Refuse("it needs a 4-D input")
        size = n.ints(1)
        if len(size) != 2:
            raise Refuse(f"its size has {len(size)} numbers, not a height and a width")
        o = n.options(cls.options)
        return cls((size[0], size[1]), bool(o.AlignCorners()), bool(o.HalfPixelCenters())), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        fields = {"AlignCorners": self.align_corners, "HalfPixelCenters": self.half_pixel_centers}
        inputs = (node.inputs[0], np.array(self.size, np.int32))
        return TfliteOp(self.tflite[0], inputs, self.options, fields, 3)
