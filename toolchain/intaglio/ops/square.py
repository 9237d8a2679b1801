"""SQUARE: x * x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .curve import Curve
from .portable import Runtime


@dataclass(frozen=True)
class Square(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape."""

    name: ClassVar[str] = "square"
    tflite: ClassVar[tuple[str, ...]] = ("SQUARE",)
    options: ClassVar[str] = "SquareOptions"

    def real(self, x: Array) -> Array:
        return np.square(x)

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        if x.dtype != "int8":
            return {}
        return {"tflm": "fails on int8", "litert": "refuses int8"}

    def forward(self, *xs: Any) -> Any:
        return xs[0].square()
