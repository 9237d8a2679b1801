"""EXP: e to the power of x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .curve import Curve
from .portable import Runtime


@dataclass(frozen=True)
class Exp(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape."""

    name: ClassVar[str] = "exp"
    tflite: ClassVar[tuple[str, ...]] = ("EXP",)
    options: ClassVar[str] = "ExpOptions"

    def real(self, x: Array) -> Array:
        return np.asarray(np.exp(np.minimum(x, 700.0)))

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        if x.dtype != "int8":
            return {}
        return {"tflm": "has no int8 EXP", "litert": "works its table out by other arithmetic"}

    def forward(self, *xs: Any) -> Any:
        return xs[0].exp()
