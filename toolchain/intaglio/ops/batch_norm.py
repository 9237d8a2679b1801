"""Batch normalization with fixed statistics (Ioffe and Szegedy 2015): exists in float graphs only.

TFLite has no such operator: floats/fold_batch_norm.py turns it into weights, or into MUL and ADD, before quantization.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from .base import Ins, Op, Outs, Types, need

if TYPE_CHECKING:
    from ..graph import Array
    from .channel_ties import ChannelTies


@dataclass(frozen=True)
class BatchNorm(Op):
    """inputs: x [..., c], gamma [c], beta [c], mean [c], variance [c], all float32.

    Output: (x - mean) / sqrt(variance + epsilon) * gamma + beta, along the last dimension.
    """

    name: ClassVar[str] = "batch_norm"
    input_names: ClassVar[tuple[str, ...]] = ("x", "gamma", "beta", "mean", "variance")
    statistics: ClassVar[tuple[int, ...]] = (3, 4)
    trainable: ClassVar[tuple[int, ...]] = (1, 2)
    epsilon: float = 1e-5

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if not x.shape or any(need(t).shape != x.shape[-1:] for t in ins[1:]):
            raise GraphError(x.name, f"statistics {[need(t).shape for t in ins[1:]]} of an input {x.shape}")
        return [(x.shape, x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        # With constants it is folded into weights before anything is computed (floats/fold_batch_norm.py).
        constants = all(t is not None and t.is_const and t.dtype == "float32" for t in ins[1:])
        return [] if constants else ["its scale, shift, mean and variance must be float32 constants"]

    def affine(self, ins: Ins) -> tuple[Array, Array] | None:
        gamma, beta, mean, variance = (np.asarray(need(t).data, np.float64) for t in ins[1:])
        scale = gamma / np.sqrt(variance + self.epsilon)
        return scale, beta - mean * scale

    def forward(self, *xs: Any, momentum: float | None = None) -> Any:
        """With `momentum` as in training: normalized by the statistics of this batch, towards which mean and variance
        move in place (the variance unbiased, as PyTorch has it)."""
        import torch.nn.functional as F

        x, gamma, beta, mean, variance = xs
        # [1][1][rows][c] seen as [1][c][1][rows]: the layout for which PyTorch has a fast kernel, whatever the rank.
        maps = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
        training = momentum is not None
        y = F.batch_norm(maps, mean, variance, gamma, beta, training, momentum or 0.0, self.epsilon)
        return y.permute(0, 2, 3, 1).reshape(x.shape)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        x = need(ins[0])
        numbers = ties.along(x, len(x.shape) - 1)
        for t in ins[1:]:
            ties.cut(t, 0, numbers)
        return [ties.spread(numbers, x.shape, len(x.shape) - 1)]
