"""RESHAPE, SQUEEZE and EXPAND_DIMS: the same bytes under another shape; no code at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array
from .base import Buf, Call, Ins, Num, Op, Outs, Picks, Refuse, TfliteOp, Types, arr, need
from .links import Link, channels
from .movement import axis_index, one_int

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode

MAX_RANK = 8


@dataclass(frozen=True)
class Reshape(Op):
    """inputs: (x,). `shape` is the full output shape, without -1."""

    name: ClassVar[str] = "reshape"
    tflite: ClassVar[tuple[str, ...]] = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
    is_view: ClassVar[bool] = True
    homogeneous: ClassVar[bool] = True
    picks: ClassVar[Picks] = "all"
    shape: tuple[int, ...] = ()

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if math.prod(self.shape) != x.size or any(d < 1 for d in self.shape):
            raise GraphError(x.name, f"cannot take {x.size} elements as {self.shape}")
        return [(self.shape, x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if x.quant != outs[0].quant:
            return ["its output is quantized unlike its input"]
        return []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [arr(xs[0]).reshape(outs[0].shape)]

    def lower(self, node: Node, graph: Graph) -> Call:
        """Only where input and output cannot share memory: from the caller's buffer to the caller's buffer."""
        out = graph.outs(node)[0]
        return Call("copy", "itg_copy", (Buf(node.inputs[0]), Buf(out.name), Num(out.nbytes)))

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        if not n.inputs or n.inputs[0] is None or len(n.outputs) != 1:
            raise Refuse("it needs one input and one output")
        if n.open_output:
            return cls(_worked_out(n, n.inputs[0].shape)), (0,)
        # The declared output shape says what a -1 stands for; infer checks that it holds as many elements.
        if n.builtin == "RESHAPE" and len(n.inputs) > 1 and n.inputs[1] is not None:
            wanted = n.ints(1)
            declared = n.outputs[0].shape
            fits = len(wanted) == len(declared) and all(w in (-1, d) for w, d in zip(wanted, declared, strict=True))
            if not fits and not (wanted and wanted[0] == 0):
                raise Refuse(f"it asks for shape {wanted} but its output is declared {declared}")
        return cls(n.outputs[0].shape), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        shape = np.array(self.shape, np.int32)
        return TfliteOp("RESHAPE", (node.inputs[0], shape), "ReshapeOptions", {"NewShape": shape})

    def forward(self, *xs: Any) -> Any:
        # The batch may be larger in training than the 1 of the device. Where x is one sample, its first dimension may
        # be anything, rows for instance.
        batch = xs[0].shape[:1] if xs[0].numel() != math.prod(self.shape) else self.shape[:1]
        return xs[0].reshape(*batch, *self.shape[1:])

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        """Dimensions that are merged with the last one, or split off from it, repeat its channels."""
        before, after = channels(need(ins[0])), channels(outs[0])
        every = np.arange(max(before, after))
        if after % before == 0:
            return [Link(0, 0, every % before, every)]
        return [Link(0, 0, every, every % after)] if before % after == 0 else None

    def is_identity(self, ins: Ins, outs: Outs) -> bool:
        return need(ins[0]).shape == outs[0].shape and need(ins[0]).quant == outs[0].quant

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        return ties.moved(self.reference, ins, outs)

    def fitted(self, kept: Sequence[Mapping[int, Array]], outs: Outs) -> Op:
        return replace(self, shape=outs[0].shape)


def _worked_out(n: TfliteNode, given: Sequence[int]) -> tuple[int, ...]:
    """The output's shape where the file leaves it open: from the input's shape and what the operator says."""
    if n.builtin == "EXPAND_DIMS":
        at = axis_index(one_int(n, 1), len(given) + 1)
        return (*given[:at], 1, *given[at:])
    if n.builtin == "SQUEEZE":
        o = n.options("SqueezeOptions")
        named = {axis_index(int(o.SqueezeDims(k)), len(given)) for k in range(min(o.SqueezeDimsLength(), len(given)))}
        return tuple(d for k, d in enumerate(given) if not (k in named or (not named and d == 1)))
    if len(n.inputs) > 1 and n.inputs[1] is not None:
        wanted = list(n.ints(1))
    else:
        o = n.options("ReshapeOptions")
        wanted = [int(o.NewShape(k)) for k in range(min(o.NewShapeLength(), MAX_RANK))]
    known = math.prod(w for w in wanted if w != -1)
    if wanted.count(-1) == 1 and known > 0:
        wanted[wanted.index(-1)] = math.prod(given) // known
    return tuple(wanted)
