"""SUB of two tensors that broadcast, with a fused activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .activation import torch_activation
from .addition import Addition


@dataclass(frozen=True)
class Sub(Addition):
    """inputs: a, b; output: a - b."""

    name: ClassVar[str] = "sub"
    tflite: ClassVar[tuple[str, ...]] = ("SUB",)
    options: ClassVar[str] = "SubOptions"
    sign: ClassVar[int] = -1

    def forward(self, *xs: Any) -> Any:
        return torch_activation(xs[0] - xs[1], self.activation)
