"""LEAKY_RELU: x where it is positive, alpha * x elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import INT_RANGE, Array, Tensor
from .base import Buf, Call, Op, Refuse, Struct, TfliteOp
from .elementwise import Unary
from .fixed import accumulator_problem, float32_ratio, quantize_multiplier, requantize
from .integer import reach

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .tflite_node import TfliteNode


@dataclass(frozen=True)
class LeakyRelu(Unary):
    """inputs: x int8, int16 or float32; output: of the same dtype and shape. `alpha` may be negative or above 1."""

    name: ClassVar[str] = "leaky_relu"
    tflite: ClassVar[tuple[str, ...]] = ("LEAKY_RELU",)
    homogeneous: ClassVar[bool] = True
    alpha: float = 0.01

    def check_int8(self, x: Tensor, out: Tensor) -> list[str]:
        factors = [quantize_multiplier(abs(f) * x.scale / out.scale) for f in (1.0, self.alpha)]
        problem = accumulator_problem(reach(x), factors)
        return [problem] if problem else []

    check_int16 = check_int8

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        return self._scaled(q, x, out, x.scale / out.scale, x.scale * abs(self.alpha) / out.scale)

    def litert_values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        below = float32_ratio(float(np.float32(x.scale) * np.float32(abs(self.alpha))), out.scale)
        return self._scaled(q, x, out, float32_ratio(x.scale, out.scale), below)

    def _scaled(self, q: Array, x: Tensor, out: Tensor, positive: float, negative: float) -> Array:
        distance = q - x.zero_point
        above = requantize(distance, *quantize_multiplier(positive))
        # A negative alpha turns the sign of the rounded product: halves round differently from a negative factor's.
        below = requantize(distance, *quantize_multiplier(negative))
        y = np.where(distance >= 0, above, -below if self.alpha < 0 else below)
        return np.asarray(np.clip(y + out.zero_point, *INT_RANGE[out.dtype]))

    def call_int16(self, x: Tensor, out: Tensor) -> Call:
        above, below = (quantize_multiplier(f * x.scale / out.scale) for f in (1.0, abs(self.alpha)))
        fields = (
            ("count", x.size),
            ("above_multiplier", above[0]), ("above_shift", above[1]),
            ("below_multiplier", below[0]), ("below_shift", below[1]),
            ("below_sign", -1 if self.alpha < 0 else 1),
        )  # fmt: skip
        params = Struct("itg_leaky_relu_s16_params", fields)
        return Call("leaky_relu_s16", "itg_leaky_relu_s16", (Buf(x.name), Buf(out.name), params))

    def real(self, x: Array) -> Array:
        return np.where(x > 0, x, x * float(np.float32(self.alpha)))

    def constants(self) -> tuple[float, ...]:
        return (self.alpha,)

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        kept = super().from_tflite(n)[1]
        alpha = float(n.options("LeakyReluOptions").Alpha())
        if not math.isfinite(alpha):
            raise Refuse(f"its alpha is {alpha}")
        return cls(alpha), kept

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("LEAKY_RELU", node.inputs, "LeakyReluOptions", {"Alpha": self.alpha}, 2)

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        return F.leaky_relu(xs[0], self.alpha)
