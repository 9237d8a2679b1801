"""NEG: minus x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .curve import Curve
from .portable import Runtime


@dataclass(frozen=True)
class Neg(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape."""

    name: ClassVar[str] = "neg"
    tflite: ClassVar[tuple[str, ...]] = ("NEG",)
    options: ClassVar[str] = "NegOptions"

    def real(self, x: Array) -> Array:
        return np.negative(x)

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        if x.dtype != "int8":
            return {}
        return {"tflm": "fails on int8", "litert": "negates the bytes, whatever their scales"}

    def forward(self, *xs: Any) -> Any:
        return -xs[0]
