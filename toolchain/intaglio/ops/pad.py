"""PAD and PADV2: a border of one value."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import DTYPES, INT_RANGE, Array, Tensor, constant
from .base import Buf, Call, Ins, Num, Op, Outs, Picks, Refuse, TfliteOp, Types, arr, need
from .float32 import LARGEST, float_bits
from .links import Link, each
from .movement import Move, itemsize, move, move_call, move_problems, steps, tensor_input
from .portable import Form, Parts, Runtime
from .reshape import Reshape
from .window import MAX_SIDE, Pads, Pair

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode

MOST_DIMENSIONS = 5
"""Of TFLM and of LiteRT."""


@dataclass(frozen=True)
class Pad(Op):
    """inputs: (x,). `pads[d]` is how much is put before and after along dimension d.

    `value` is the real number that is put there, in a float and in a quantized graph alike; -inf is the lowest that
    integers can hold. Without quantization it is the integer itself.
    """

    name: ClassVar[str] = "pad"
    infinite: ClassVar[tuple[str, ...]] = ("value",)
    tflite: ClassVar[tuple[str, ...]] = ("PAD", "PADV2")
    picks: ClassVar[Picks] = "all"
    pads: tuple[Pair, ...] = ()
    value: float = 0.0

    @property
    def commutes_with_clamp(self) -> bool:
        # Its border is not clamped.
        return False

    @property
    def forward_is_exact(self) -> bool:
        return self.value == 0.0

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if len(self.pads) != len(x.shape) or any(not 0 <= p <= MAX_SIDE for pair in self.pads for p in pair):
            raise GraphError(x.name, f"padding {self.pads} of {x.shape}", f"a pair in 0..{MAX_SIDE} a dimension")
        return [(tuple(n + sum(pair) for n, pair in zip(x.shape, self.pads, strict=True)), x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x = need(ins[0])
        if math.isinf(self.value) and outs[0].dtype == "float32":
            # MAX_POOL right behind it takes -inf as padding of its own: floats/fuse_padding.py.
            remedy = "pad with a finite number, or put a MAX_POOL right behind a PAD with -inf of height and width"
            return [f"it pads with {self.value:g}, which no kernel computes on; {remedy}"]
        return move_problems([x], outs, [self._move(x, outs[0])])

    def fill(self, t: Tensor) -> float | int:
        """`value` as the tensor holds it."""
        if t.dtype == "float32":
            return min(max(float(self.value), -LARGEST), LARGEST)
        low, high = INT_RANGE[t.dtype]
        if not math.isfinite(self.value):
            return low if self.value < 0 else high
        q = self.value if t.quant is None else self.value / t.scale + t.zero_point
        return min(max(math.floor(q + 0.5), low), high)

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [np.pad(arr(xs[0]), self.pads, constant_values=self.fill(outs[0]))]

    def lower(self, node: Node, graph: Graph) -> tuple[Call, ...]:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        fill = self.fill(out)
        value = Num(float_bits(fill) if isinstance(fill, float) else fill)
        border = Call("fill", "itg_fill", (Buf(out.name), Num(out.size), Num(itemsize(out)), value))
        return border, move_call(self._move(x, out), x.name, out.name)

    def _move(self, x: Tensor, out: Tensor) -> Move:
        dense = steps(out.shape)
        start = sum(before * s for (before, _), s in zip(self.pads, dense, strict=True))
        return move(x.shape, steps(x.shape), dense, itemsize(x), 0, start)

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        x = tensor_input(n, 0)
        found = n.ints(1)
        if len(found) != 2 * len(x.shape):
            raise Refuse(f"it has {len(found)} paddings for {len(x.shape)} dimensions")
        pads = tuple(zip(found[::2], found[1::2], strict=True))
        if n.builtin == "PAD":
            return cls(pads), (0,)
        value, t = n.const(2), tensor_input(n, 2)
        if value.size != 1 or t.dtype != x.dtype:
            raise Refuse(f"its padding value is {t.dtype}{t.shape}; one {x.dtype} is needed")
        if t.quant is not None and t.quant.per_tensor and t.dtype != "float32":
            return cls(pads, t.scale * (int(value.ravel()[0]) - t.zero_point)), (0,)
        return cls(pads, float(value.ravel()[0])), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        out = graph.outs(node)[0]
        pads = np.array(self.pads, np.int32).reshape(len(self.pads), 2)
        if self.value == 0.0:
            return TfliteOp("PAD", (node.inputs[0], pads), "PadOptions")
        infinite = out.dtype == "float32" and math.isinf(self.value)
        value = np.array(self.value if infinite else self.fill(out), DTYPES[out.dtype])
        return TfliteOp("PADV2", (node.inputs[0], pads, constant(f"{out.name}:fill", value, out.quant)), "PadV2Options")

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        """Runtimes pad five dimensions: of more, one after another."""
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        if len(x.shape) <= MOST_DIMENSIONS:
            return None
        parts, at, sizes = Parts(node, graph), x.name, list(x.shape)
        for d in (d for d, pair in enumerate(self.pads) if any(pair)):
            flat = parts.add(Reshape((math.prod(sizes[:d]), sizes[d], math.prod(sizes[d + 1 :]))), (at,))
            at = parts.add(replace(self, pads=((0, 0), self.pads[d], (0, 0))), (flat,), out)
            sizes[d] += sum(self.pads[d])
        parts.add(Reshape(out.shape), (at,), out)
        return parts.form(f"one dimension after another: runtimes pad {MOST_DIMENSIONS} at most")

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        return F.pad(xs[0], [p for pair in reversed(self.pads) for p in pair], value=self.value)

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        return [each(outs[0])] if self.pads[-1] == (0, 0) else None

    def is_identity(self, ins: Ins, outs: Outs) -> bool:
        return not any(p for pair in self.pads for p in pair)

    @property
    def border(self) -> tuple[Pads, float] | None:
        if len(self.pads) != 4 or any(self.pads[0]) or any(self.pads[3]):
            return None
        return (*self.pads[1], *self.pads[2]), self.value

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        # A border along the channels is made of channels of its own, which stay.
        x, out = need(ins[0]), outs[0]
        if not x.shape:
            return ties.blocked(ins, outs)
        axis = ties.axis(x)
        return [ties.spread(np.pad(ties.along_any(x), self.pads[axis]), out.shape, axis)]
