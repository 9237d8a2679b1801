"""MAX_POOL_2D: the largest element of each window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..graph import INT_RANGE, Array, Tensor
from .activation import activation_range, torch_activation
from .base import Ins, Op, Outs, Picks, arr
from .fixed import clamp_to
from .float32 import LARGEST, is_float, rounded
from .pool import Pool2D
from .window import NO_PADS, Pads, added, hw_of, out_hw, patches, torch_nchw


@dataclass(frozen=True)
class MaxPool2D(Pool2D):
    """The largest, then the activation; a window with nothing but padding gives the lowest value."""

    name: ClassVar[str] = "max_pool2d"
    tflite: ClassVar[tuple[str, ...]] = ("MAX_POOL_2D",)
    picks: ClassVar[Picks] = "some"

    @property
    def clamps_alike(self) -> bool:
        return True

    @property
    def forward_is_exact(self) -> bool:
        # A window of nothing but padding has no number to pick.
        return self.activation == "none" and all(p < self.kernel[i // 2] for i, p in enumerate(self.pads))

    def padded(self, pads: Pads, fill: float, x: Tensor) -> Op | None:
        """Nothing may exceed any float, and no window may lie in the padding alone."""
        all_pads = added(self.pads, pads)
        if x.dtype != "float32" or not fill <= -LARGEST:
            return None
        sides = zip(x.shape[1:3], out_hw(hw_of(x.shape), self.kernel, self.stride, (1, 1), all_pads), strict=True)
        for (n, out), k, s, top in zip(sides, self.kernel, self.stride, all_pads[::2], strict=True):
            if top >= k or (out - 1) * s - top >= n:
                return None
        return replace(self, pads=all_pads)

    def bare(self) -> tuple[Op, Pads, float] | None:
        return (replace(self, pads=NO_PADS), self.pads, -math.inf) if any(self.pads) else None

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
