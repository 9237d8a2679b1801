"""HARD_SIGMOID: a line through beta with slope alpha, between 0 and 1 (ONNX HardSigmoid)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array
from .base import Refuse, TfliteOp
from .curve import Curve

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class HardSigmoid(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape: alpha * x + beta, clamped to [0, 1].

    ONNX says alpha 0.2 where nothing is said; PyTorch's Hardsigmoid, relu6(x + 3) / 6, has 1/6. Both have beta 0.5.
    """

    name: ClassVar[str] = "hard_sigmoid"
    alpha: float = 0.2
    beta: float = 0.5

    def real(self, x: Array) -> Array:
        return np.asarray(np.clip(float(np.float32(self.alpha)) * x + float(np.float32(self.beta)), 0.0, 1.0))

    def constants(self) -> tuple[float, ...]:
        return self.alpha, self.beta

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        raise Refuse("TFLite has no HARD_SIGMOID")

    def forward(self, *xs: Any) -> Any:
        return (xs[0] * self.alpha + self.beta).clamp(0.0, 1.0)
