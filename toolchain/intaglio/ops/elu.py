"""ELU: x where it is positive, alpha * (exp(x) - 1) elsewhere (Clevert et al., ICLR 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .base import Refuse, TfliteOp
from .curve import Curve
from .portable import Runtime

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Elu(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape. TFLite knows an `alpha` of 1 only."""

    name: ClassVar[str] = "elu"
    tflite: ClassVar[tuple[str, ...]] = ("ELU",)
    alpha: float = 1.0

    def real(self, x: Array) -> Array:
        return np.where(x > 0, x, float(np.float32(self.alpha)) * np.expm1(np.minimum(x, 0)))

    def constants(self) -> tuple[float, ...]:
        return (self.alpha,)

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        if self.alpha != 1.0:
            return {"tflm": "has an alpha of 1 alone", "litert": "has an alpha of 1 alone"}
        return {"litert": "works its table out by other arithmetic"} if x.dtype == "int8" else {}

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        if self.alpha != 1.0:
            raise Refuse(f"its alpha is {self.alpha}; TFLite's ELU has an alpha of 1")
        return super().to_tflite(node, graph)

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        return F.elu(xs[0], self.alpha)
