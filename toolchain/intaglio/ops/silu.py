"""SiLU, also called swish: x * sigmoid(x) (Elfwing et al. 2017; Ramachandran et al. 2017)."""

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
class Silu(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape."""

    name: ClassVar[str] = "silu"

    def real(self, x: Array) -> Array:
        return np.asarray(0.5 * x * (1 + np.tanh(0.5 * x)))

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        raise Refuse("TFLite has no SILU, and its LOGISTIC and MUL in a row round twice: other bytes")

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        if x.dtype != "int8":
            return {}
        return {"tflm": "has no SILU", "litert": "has no SILU"}

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        return F.silu(xs[0])
