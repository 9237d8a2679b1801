"""TILE: a tensor repeated along its dimensions, as Keras writes UpSampling2D and RepeatVector."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Op, Outs, Picks, TfliteOp, Types, arr, need
from .concatenation import Concatenation
from .movement import Move, itemsize, move, move_call, move_problems, steps, tensor_input
from .portable import Form, Parts, Runtime
from .reshape import Reshape

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode

MAX_ELEMENTS = 1 << 28
MOST_JOINED = 10
"""Inputs that a CONCATENATION of TFLM takes."""


@dataclass(frozen=True)
class Tile(Op):
    """inputs: (x,). Along dimension d the output is x `times[d]` times, one behind the other."""

    name: ClassVar[str] = "tile"
    tflite: ClassVar[tuple[str, ...]] = ("TILE",)
    picks: ClassVar[Picks] = "all"
    times: tuple[int, ...] = ()

    @property
    def commutes_with_clamp(self) -> bool:
        # It does; but fusing across it would change the bytes of models that were quantized before.
        return False

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if len(self.times) != len(x.shape) or any(t < 1 for t in self.times):
            raise GraphError(x.name, f"cannot repeat {x.shape} {self.times} times", "a positive number a dimension")
        if x.size * math.prod(self.times) > MAX_ELEMENTS:
            raise GraphError(x.name, f"{x.shape} repeated {self.times} times", f"{MAX_ELEMENTS} elements at most")
        return [(tuple(d * t for d, t in zip(x.shape, self.times, strict=True)), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        return move_problems([x], outs, [self._move(x)])

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [np.tile(arr(xs[0]), self.times)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x = need(graph.ins(node)[0])
        return move_call(self._move(x), x.name, node.outputs[0])

    def _move(self, x: Tensor) -> Move:
        """The output as [times][size][times][size]...: a step of 0 in x where it is repeated."""
        out_shape = [d * t for d, t in zip(x.shape, self.times, strict=True)]
        size: list[int] = []
        in_step: list[int] = []
        out_step: list[int] = []
        for d, t, i, o in zip(x.shape, self.times, steps(x.shape), steps(out_shape), strict=True):
            size += [t, d]
            in_step += [0, i]
            out_step += [d * o, o]
        return move(size, in_step, out_step, itemsize(x))

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        tensor_input(n, 0)
        return cls(n.ints(1)), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        axis = self._joined()
        if axis is not None:
            # TFLM has no TILE.
            inputs = node.inputs * self.times[axis]
            return TfliteOp("CONCATENATION", inputs, "ConcatenationOptions", {"Axis": axis}, 2)
        return TfliteOp("TILE", (node.inputs[0], np.array(self.times, np.int32)))

    def _joined(self) -> int | None:
        """The axis of the one CONCATENATION that it is, if it is one."""
        repeated = [d for d, t in enumerate(self.times) if t > 1]
        return repeated[0] if len(repeated) == 1 and self.times[repeated[0]] <= MOST_JOINED else None

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        """TFLM joins instead: along one dimension after another, between RESHAPEs to three, ten tensors at a time."""
        if "tflm" not in runtimes or self._joined() is not None:
            return None
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        parts, at, shape = Parts(node, graph), x.name, list(x.shape)
        for axis, times in enumerate(self.times):
            if times == 1:
                continue
            flat = parts.add(Reshape((math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))), (at,))
            pieces = [flat] * times
            joined: dict[tuple[str, ...], str] = {}  # equal tens are joined once
            while len(pieces) > 1:
                tens = [tuple(pieces[i : i + MOST_JOINED]) for i in range(0, len(pieces), MOST_JOINED)]
                for ten in tens:
                    if ten not in joined:
                        joined[ten] = parts.add(Concatenation(1), ten) if len(ten) > 1 else ten[0]
                pieces = [joined[ten] for ten in tens]
            at = pieces[0]
            shape[axis] *= times
        parts.add(Reshape(out.shape), (at,))
        return parts.form("as CONCATENATIONs: TFLM has no TILE")

    def forward(self, *xs: Any) -> Any:
        return xs[0].tile(self.times)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return ties.moved(self.reference, ins, outs)
