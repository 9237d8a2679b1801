"""SQRT: the square root of x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .curve import Curve
from .portable import Runtime


@dataclass(frozen=True)
class Sqrt(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape."""

    name: ClassVar[str] = "sqrt"
    tflite: ClassVar[tuple[str, ...]] = ("SQRT",)
    options: ClassVar[str] = ""
    least: ClassVar[float] = 0.0

    def real(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.sqrt(x))

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        if x.dtype != "int8":
            return {}
        return {"tflm": "fails on int8", "litert": "rounds other inputs otherwise"}

    def forward(self, *xs: Any) -> Any:
        return xs[0].sqrt()
