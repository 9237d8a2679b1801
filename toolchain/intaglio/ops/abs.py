"""ABS: the magnitude of x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .base import TfliteOp, same_quant
from .elementwise import Unary
from .fixed import accumulator_problem, float32_ratio, quantize_multiplier, requantize
from .integer import reach

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Abs(Unary):
    """inputs: x int8 or float32; output: of the same dtype and shape."""

    name: ClassVar[str] = "abs"
    tflite: ClassVar[tuple[str, ...]] = ("ABS",)

    def check_int8(self, x: Tensor, out: Tensor) -> list[str]:
        problem = accumulator_problem(reach(x), [quantize_multiplier(x.scale / out.scale)])
        return [problem] if problem else []

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        return self._scaled(q, x, out, x.scale / out.scale)

    def litert_values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        return self._scaled(q, x, out, float32_ratio(x.scale, out.scale))

    def _scaled(self, q: Array, x: Tensor, out: Tensor, factor: float) -> Array:
        distance = np.abs(q - x.zero_point)
        if not same_quant(x, out):
            distance = requantize(distance, *quantize_multiplier(factor))
        return np.asarray(np.clip(distance + out.zero_point, -128, 127))

    def real(self, x: Array) -> Array:
        return np.abs(x)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("ABS", node.inputs, "AbsOptions")

    def forward(self, *xs: Any) -> Any:
        return xs[0].abs()
