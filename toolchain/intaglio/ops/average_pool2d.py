"""AVERAGE_POOL_2D: the mean of each window, of the elements inside the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array
from .activation import activation_range, torch_activation
from .base import Ins, Outs, arr, need
from .fixed import I32_MAX, clamp_to
from .float32 import is_float, rounded
from .pool import Pool2D
from .window import patches, torch_nchw


@dataclass(frozen=True)
class AveragePool2D(Pool2D):
    """sum / count, in integers rounded half away from zero, then the activation; padding is left out of both."""

    name: ClassVar[str] = "average_pool2d"
    tflite: ClassVar[tuple[str, ...]] = ("AVERAGE_POOL_2D",)
    rounding_advice: ClassVar[str] = (
        "its result has to keep its input's scale: a strided convolution or a mean of the whole map has its own"
    )

    @property
    def increasing(self) -> bool:
        return True

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        problems = super().check(ins, outs)
        x = need(ins[0])
        area = min(self.kernel[0], x.shape[1]) * min(self.kernel[1], x.shape[2])
        largest = 128 if x.dtype == "int8" else 1 << 15
        # The kernel adds half the count to the sum.
        if not is_float(ins, outs) and area * (largest + 1) > I32_MAX:
            problems.append(f"its window covers {area} elements: their sum leaves 32 bits")
        if any(p >= self.kernel[i // 2] for i, p in enumerate(self.pads)):
            problems.append(f"its padding {self.pads} is as wide as its window {self.kernel}: a window may be empty")
        return problems

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        x = arr(xs[0]).astype(np.float64 if is_float(ins, outs) else np.int64)
        total = patches(x, self.kernel, self.stride, (1, 1), self.pads, 0).sum(axis=(3, 4))
        count = patches(np.ones_like(x[:1, :, :, :1]), self.kernel, self.stride, (1, 1), self.pads, 0).sum(axis=(3, 4))
        if is_float(ins, outs):
            return [rounded(total / count, self.activation)]
        mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
        return [clamp_to(mean, *activation_range(self.activation, outs[0]), outs[0].dtype)]

    def forward(self, *xs: Any) -> Any:
        import torch
        import torch.nn.functional as F

        mean = F.avg_pool2d(torch_nchw(xs[0], self.pads), self.kernel, self.stride)
        if any(self.pads):
            # Padding is zero and so adds nothing to the sum; take it out of the count too.
            inside = torch_nchw(torch.ones_like(xs[0][:1, :, :, :1]), self.pads)
            mean = mean / F.avg_pool2d(inside, self.kernel, self.stride)
        return torch_activation(mean.permute(0, 2, 3, 1), self.activation)
