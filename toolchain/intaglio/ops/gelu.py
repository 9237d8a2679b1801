"""GELU: x times the normal distribution's cumulative function (Hendrycks and Gimpel 2016)."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .add import Add
from .base import Op, Refuse, TfliteOp
from .curve import Curve
from .mul import Mul
from .portable import Form, Parts, Runtime
from .tanh import Tanh

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .tflite_node import TfliteNode

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

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        own: dict[Runtime, str] = {"litert": "works its table out by other arithmetic"} if x.dtype == "int8" else {}
        return {"tflm": "has no GELU", **own}

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        x = graph.tensors[node.inputs[0]]
        if x.dtype != "float32" or "tflm" not in runtimes:
            return super().portable(node, graph, runtimes)
        if not self.approximate:
            raise Refuse("TFLM has no GELU, nor an error function to make it of; approximate='tanh' is written")
        # x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
        parts = Parts(node, graph)

        def by(op: Op, name: str, value: float) -> str:
            return parts.add(op, (name, parts.const(np.full((1,) * len(x.shape), value, np.float32))))

        cube = parts.add(Mul(), (parts.add(Mul(), (x.name, x.name)), x.name))
        inner = parts.add(Add(), (x.name, by(Mul(), cube, 0.044715)))
        gate = by(Add(), parts.add(Tanh(), (by(Mul(), inner, math.sqrt(2 / math.pi)),)), 1.0)
        parts.add(Mul(), (gate, by(Mul(), x.name, 0.5)))
        return parts.form("by TANH: TFLM has no GELU")

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        kept = super().from_tflite(n)[1]
        return cls(bool(n.options("GeluOptions").Approximate())), kept

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("GELU", node.inputs, "GeluOptions", {"Approximate": self.approximate})

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        return F.gelu(xs[0], approximate="tanh" if self.approximate else "none")
