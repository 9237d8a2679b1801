"""SQRT: the square root of x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array
from .curve import Curve


@dataclass(frozen=True)
class Sqrt(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape."""

    name: ClassVar[str] = "sqrt"
    tflite: ClassVar[tuple[str, ...]] = ("SQRT",)
    options: ClassVar[str] = ""
    least: ClassVar[float] = 0.0

    def real(self, x: Array) -> Array:
        return np.asarray(np.sqrt(x))

    def forward(self, *xs: Any) -> Any:
        return xs[0].sqrt()
