"""What REDUCE_MAX and REDUCE_MIN share: int8 is compared as it is, so both tensors are quantized alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array
from .base import Buf, Call, Ins, Outs, Picks, Struct, arr, need
from .float32 import float_problems, is_float
from .integer import int8_problems
from .movement import alike
from .reduction import Reduction

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class ReducedExtremum(Reduction):
    """The largest of the inputs of an output (`sign` 1) or the smallest (`sign` -1)."""

    sign: ClassVar[int] = 1
    homogeneous: ClassVar[bool] = True
    picks: ClassVar[Picks] = "some"

    @property
    def forward_is_exact(self) -> bool:
        # It would be; but its gradients would be rounded otherwise, and trainings come out with other bytes.
        return False

    @property
    def clamps_alike(self) -> bool:
        return True

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x, out = need(ins[0]), outs[0]
        if problems := self.loop_problems(x):
            return problems
        if is_float(ins, outs):
            return float_problems(ins, outs)
        if problems := int8_problems(ins, outs):
            return problems
        return [] if alike(x, out) else [f"{out.name} must be quantized as {x.name} is: it compares and copies bytes"]

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        pick = np.max if self.sign > 0 else np.min
        return [np.asarray(pick(arr(xs[0]), axis=self.axes, keepdims=self.keep_dims))]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        kernel, dtype = ("reduce_max_f32", "f32") if is_float([x], [out]) else ("reduce_max", "s8")
        params = Struct(f"itg_reduce_max_{dtype}_params", (*self.loops(x, "gone"), ("sign", self.sign)))
        return Call(kernel, f"itg_reduce_max_{dtype}", (Buf(x.name), Buf(out.name), params))

    def forward(self, *xs: Any) -> Any:
        if not self.axes:
            return xs[0]
        return xs[0].amax(self.axes, self.keep_dims) if self.sign > 0 else xs[0].amin(self.axes, self.keep_dims)
