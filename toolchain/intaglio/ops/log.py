"""LOG: the natural logarithm of x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .curve import Curve
from .portable import Runtime


@dataclass(frozen=True)
class Log(Curve):
    """inputs: x int8 or float32; output: of the same dtype and shape."""

    name: ClassVar[str] = "log"
    tflite: ClassVar[tuple[str, ...]] = ("LOG",)
    options: ClassVar[str] = ""
    least: ClassVar[float] = 0.0

    def real(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(x))

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        if x.dtype != "int8":
            return {}
        return {"tflm": "fails on int8", "litert": "works its table out by other arithmetic"}

    def forward(self, *xs: Any) -> Any:
        return xs[0].log()
