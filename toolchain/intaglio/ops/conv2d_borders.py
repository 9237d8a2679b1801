"""CONV_2D whose bias depends on where the output lies: what is left when constant input channels are folded into it.

Where the window reaches over the border it sees less of a constant channel, so what the channel adds differs in the
corners, along the edges and inside. compress/lossless.py makes this operator; no file format has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array
from .base import Call, Const, Ins, Num, Op, Outs, Refuse, TfliteOp, Types, arr, need
from .conv2d import Conv2D

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .tflite_node import TfliteNode

MAX_CLASSES = 256
"""Classes of rows, and of columns: the kernel has them as uint8."""


@dataclass(frozen=True)
class Conv2DBorders(Conv2D):
    """inputs: x and weights int8 as CONV_2D has them, bias int32 [row classes][column classes][out_c].

    `rows[y]` and `columns[x]` are the class of output row y and of output column x; output (y, x) takes the bias at
    [rows[y]][columns[x]]. Classes count from 0, each is used.
    """

    name: ClassVar[str] = "conv2d_borders"
    tflite: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[int] = 0
    weighted: ClassVar[bool] = False  # what changes weights cannot correct a bias that depends on the place
    has_windows: ClassVar[bool] = False
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    def infer(self, ins: Ins, outs: Outs) -> Types:
        bias = need(ins[2])
        found = super().infer((*ins[:2], None), outs)
        shape = found[0][0]
        classes = (len(set(self.rows)), len(set(self.columns)))
        counted = all(sorted(set(c)) == list(range(n)) for c, n in zip((self.rows, self.columns), classes, strict=True))
        if (len(self.rows), len(self.columns)) != shape[1:3] or not counted or max(classes) > MAX_CLASSES:
            raise GraphError(bias.name, f"rows {self.rows} and columns {self.columns}", f"classes of {shape[1:3]}")
        if bias.shape != (*classes, shape[3]):
            raise GraphError(bias.name, f"a bias of shape {bias.shape}", f"{(*classes, shape[3])}")
        return found

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        bias = need(ins[2])
        if bias.dtype != "int32" or bias.data is None or need(ins[0]).dtype != "int8":
            return ["it needs an int8 input and a constant int32 bias"]
        quant = need(ins[1]).quant
        if quant is not None and quant.bits < 8:
            return [f"its weights have {quant.bits} bits; 8 are supported"]
        worst = np.abs(bias.data.astype(np.int64)).max(axis=(0, 1))
        flat = replace(bias, shape=worst.shape, data=np.minimum(worst, np.iinfo(np.int32).max).astype(np.int32))
        return super().check((*ins[:2], flat), outs)

    def plain(self) -> Op:
        return Conv2D(self.stride, self.dilation, self.pads, self.activation)

    def bias_map(self, bias: Array) -> Array:
        """The bias of each output: [out_h][out_w][out_c]."""
        return np.asarray(bias[np.asarray(self.rows)][:, np.asarray(self.columns)])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return super().reference((*xs[:2], self.bias_map(arr(xs[2]))), ins, outs)

    def lower(self, node: Node, graph: Graph) -> Call:
        call = super().lower(node, graph)
        # Part by part, not position by position: what lies ahead is read again.
        classes = (
            Const("rows", np.array(self.rows, np.uint8), f"class of each row, {len(self.rows)}"),
            Const("columns", np.array(self.columns, np.uint8), f"class of each column, {len(self.columns)}"),
            Num(len(set(self.columns))),
        )
        return replace(call, args=(*call.args, *classes), overlaps=())

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        raise Refuse("no file holds it")

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        raise Refuse("its bias depends on where the output lies (lossless reduction); only C can say that")


def by_place(plain: Op, total: Array) -> tuple[Conv2DBorders, Array]:
    """A CONV_2D, and the bias of each output [out_h][out_w][out_c] -> the operator, and its table of biases."""
    rows, first_rows = _alike(total)
    columns, first_columns = _alike(total.swapaxes(0, 1))
    return Conv2DBorders(**vars(plain), rows=tuple(rows), columns=tuple(columns)), total[first_rows][:, first_columns]


def _alike(total: Array) -> tuple[list[int], list[int]]:
    """The class of each index of the first axis, equal ones alike, and the first index of each class."""
    classes: dict[bytes, int] = {}
    first: list[int] = []
    found: list[int] = []
    for at, row in enumerate(np.ascontiguousarray(total)):
        k = classes.setdefault(row.tobytes(), len(classes))
        first += [at] * (k == len(first))
        found.append(k)
    return found, first
