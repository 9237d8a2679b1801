"""DIV of two float32 tensors that broadcast, with a fused activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .activation import torch_activation
from .base import Call, Ins, Outs, arr
from .elementwise import Arithmetic
from .float32 import float_bounds, rounded

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Div(Arithmetic):
    """inputs: a, b; output: a / b."""

    name: ClassVar[str] = "div"
    tflite: ClassVar[tuple[str, ...]] = ("DIV",)
    options: ClassVar[str] = "DivOptions"

    def check_int8(self, a: Tensor, b: Tensor, out: Tensor) -> list[str]:
        return ["it divides int8 by int8; float32 is supported. A constant divisor can be a MUL by its inverse"]

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return [rounded(arr(xs[0]).astype(np.float64) / arr(xs[1]), self.activation)]

    def lower(self, node: Node, graph: Graph) -> Call:
        return self.call(node, graph, "div", float_bounds(self.activation))

    def forward(self, *xs: Any) -> Any:
        return torch_activation(xs[0] / xs[1], self.activation)
