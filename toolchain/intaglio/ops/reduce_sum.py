"""SUM over any dimensions: the kernel of MEAN, without the division."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..graph import Tensor
from .fixed import quantize_multiplier
from .mean import Mean


@dataclass(frozen=True)
class ReduceSum(Mean):
    """inputs: (x,), int8 or float32; output: the sum over `axes`."""

    name: ClassVar[str] = "reduce_sum"
    tflite: ClassVar[tuple[str, ...]] = ("SUM",)

    def divisor(self, x: Tensor) -> int:
        return 1

    def factor(self, x: Tensor, out: Tensor) -> tuple[int, int]:
        return quantize_multiplier(x.scale / out.scale)

    def forward(self, *xs: Any) -> Any:
        return xs[0].sum(dim=self.axes, keepdim=self.keep_dims) if self.axes else xs[0]
