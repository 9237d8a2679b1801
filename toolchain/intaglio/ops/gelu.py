"""GELU: x times the normal distribution's cumulative function (Hendrycks and Gimpel 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array
from .base import Op, TfliteOp
from .curve import Curve

if TYPE_CHECKING:
    from ..frontends.tflite import TfliteNode
    from ..graph import Graph, Node

_erfc = np.frompyfunc(math.erfc, 1, 1)


@dataclass(frozen=True)
class Gelu(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape.

    x * Phi(x) with the error function, or, where `approximate`, x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).
    """

    name: ClassVar[str] = "gelu"
    tflite: ClassVar[tuple[str, ...]] = ("GELU",)
    approximate: bool = False

    def real(self, x: Array) -> Array:
        if self.approximate:
            return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
        return np.asarray(0.5 * x * np.asarray(_erfc(-x / math.sqrt(2)), np.float64))

    def constants(self) -> tuple[float | int, ...]:
        return (int(self.approximate),)

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        kept = super().from_tflite(n)[1]
        return cls(bool(n.options("GeluOptions").Approximate())), kept

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("GELU", node.inputs, "GeluOptions", {"Approximate": self.approximate})

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        return F.gelu(xs[0], approximate="tanh" if self.approximate else "none")
