"""What MEAN, SUM, REDUCE_MAX and REDUCE_MIN share: which dimensions go, and the loops over them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Tensor
from .base import FieldValue, Ins, Op, Outs, Refuse, TfliteOp, Types, need
from .movement import axis_index, steps, tensor_input

if TYPE_CHECKING:
    from ..graph import Array, Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode

LOOPS = 3
"""ITG_MEAN_RANK in mean.h: groups of neighbouring dimensions that are reduced, and groups that stay."""


@dataclass(frozen=True)
class Reduction(Op):
    """inputs: (x,). `axes` are distinct, counted from the front and in order; with `keep_dims` each becomes 1."""

    version: ClassVar[int] = 2
    axes: tuple[int, ...] = ()
    keep_dims: bool = False

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        rank = len(x.shape)
        if list(self.axes) != sorted(set(self.axes)) or not all(0 <= a < rank for a in self.axes):
            raise GraphError(x.name, f"a {self.name} over dimensions {self.axes} of {rank}")
        if self.keep_dims:
            return [(tuple(1 if d in self.axes else n for d, n in enumerate(x.shape)), x.dtype)]
        return [(tuple(n for d, n in enumerate(x.shape) if d not in self.axes), x.dtype)]

    def loop_problems(self, x: Tensor) -> list[str]:
        """Why the kernels' loops do not suffice."""
        if any(len(g) > LOOPS for g in self._groups(x)):
            return [f"it reduces {self.axes} of {len(x.shape)} dimensions, which are too many groups"]
        return []

    def loops(self, x: Tensor, gone: str) -> tuple[tuple[str, FieldValue], ...]:
        """The four arrays with which a kernel's parameters begin; `gone` names the loops over one output's inputs."""
        kept, reduced = ([(1, 0)] * (LOOPS - len(g)) + g for g in self._groups(x))
        return (
            ("kept_size", [n for n, _ in kept]), ("kept_step", [s for _, s in kept]),
            (f"{gone}_size", [n for n, _ in reduced]), (f"{gone}_step", [s for _, s in reduced]),
        )  # fmt: skip

    def count(self, x: Tensor) -> int:
        """Elements that make one output."""
        return math.prod(x.shape[a] for a in self.axes)

    def _groups(self, x: Tensor) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(size, step) of the loops over what stays and over what is reduced, neighbours merged, outermost first."""
        found: list[tuple[bool, int, int]] = []
        for d, (n, step) in enumerate(zip(x.shape, steps(x.shape), strict=True)):
            reduced = d in self.axes
            if n == 1:
                continue
            if found and found[-1][0] == reduced:
                found[-1] = (reduced, found[-1][1] * n, step)
            else:
                found.append((reduced, n, step))
        return [(n, s) for a, n, s in found if not a], [(n, s) for a, n, s in found if a]

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        rank = len(tensor_input(n, 0).shape)
        found = n.ints(1)
        if len(found) > 2 * rank:
            raise Refuse(f"it reduces {len(found)} axes of {rank} dimensions")
        axes = tuple(sorted({axis_index(a, rank) for a in found}))
        return cls(axes, bool(n.options("ReducerOptions").KeepDims())), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        inputs = (node.inputs[0], np.array(self.axes, np.int32))
        return TfliteOp(self.tflite[0], inputs, "ReducerOptions", {"KeepDims": self.keep_dims}, self.version)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        x = need(ins[0])
        axis = ties.axis(x)
        if axis in self.axes or not outs[0].shape:
            return ties.blocked(ins, outs)
        at = axis if self.keep_dims else axis - sum(a < axis for a in self.axes)
        return [ties.spread(ties.along_any(x), outs[0].shape, at)]
