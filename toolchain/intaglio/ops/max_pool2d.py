"""MAX_POOL_2D: the largest element of each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..graph import INT_RANGE, Array
from .activation import activation_range, torch_activation
from .base import Ins, Outs, arr
from .fixed import clamp_to
from .float32 import LARGEST, is_float, rounded
from .pool import Pool2D
from .window import patches, torch_nchw


@dataclass(frozen=True)
class MaxPool2D(Pool2D):
    """The largest, then the activation; a window with nothing but padding gives the lowest value."""

    name: ClassVar[str] = "max_pool2d"
    tflite: ClassVar[tuple[str, ...]] = ("MAX_POOL_2D",)

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        x = arr(xs[0])
        lowest = -LARGEST if is_float(ins, outs) else INT_RANGE[x.dtype.name][0]
        largest = patches(x, self.kernel, self.stride, (1, 1), self.pads, lowest).max(axis=(3, 4))
        if is_float(ins, outs):
            return [rounded(largest, self.activation)]
        return [clamp_to(largest, *activation_range(self.activation, outs[0]), outs[0].dtype)]

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        y = F.max_pool2d(torch_nchw(xs[0], self.pads, float("-inf")), self.kernel, self.stride)
        return torch_activation(y.permute(0, 2, 3, 1), self.activation)
