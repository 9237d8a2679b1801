"""HARD_SIGMOID: a line through beta with slope alpha, between 0 and 1 (ONNX HardSigmoid)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .add import Add
from .base import Refuse, TfliteOp
from .curve import Curve
from .maximum import Maximum
from .minimum import Minimum
from .mul import Mul
from .portable import Form, Parts, Runtime

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

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        return {"tflm": "has no HARD_SIGMOID", "litert": "has no HARD_SIGMOID"}

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        x = graph.tensors[node.inputs[0]]
        if x.dtype != "float32":
            return super().portable(node, graph, runtimes)
        parts, at = Parts(node, graph), x.name
        for op, value in ((Mul(), self.alpha), (Add(), self.beta), (Maximum(), 0.0), (Minimum(), 1.0)):
            at = parts.add(op, (at, parts.const(np.full((1,) * len(x.shape), value, np.float32))))
        return parts.form("MUL, ADD, MAXIMUM and MINIMUM: TFLite has no HARD_SIGMOID")

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        raise Refuse("TFLite has no HARD_SIGMOID")

    def forward(self, *xs: Any) -> Any:
        return (xs[0] * self.alpha + self.beta).clamp(0.0, 1.0)
