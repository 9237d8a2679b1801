"""MINIMUM of two tensors that broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array
from .base import Ins, Outs, arr
from .extremum import Extremum


@dataclass(frozen=True)
class Minimum(Extremum):
    """inputs: a, b; output: the smaller of the two."""

    name: ClassVar[str] = "minimum"
    tflite: ClassVar[tuple[str, ...]] = ("MINIMUM",)
    sign: ClassVar[int] = -1

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [np.minimum(arr(xs[0]), arr(xs[1]))]

    def forward(self, *xs: Any) -> Any:
        import torch

        return torch.minimum(xs[0], xs[1])
