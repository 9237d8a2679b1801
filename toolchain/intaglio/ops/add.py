"""ADD of two tensors that broadcast, with a fused activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .activation import torch_activation
from .addition import Addition


@dataclass(frozen=True)
class Add(Addition):
    """inputs: a, b; output: a + b."""

    name: ClassVar[str] = "add"
    tflite: ClassVar[tuple[str, ...]] = ("ADD",)
    options: ClassVar[str] = "AddOptions"

    def forward(self, *xs: Any) -> Any:
        return torch_activation(xs[0] + xs[1], self.activation)
