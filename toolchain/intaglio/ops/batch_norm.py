"""Batch normalization with fixed statistics (Ioffe and Szegedy 2015): exists in float graphs only.

TFLite has no such operator: lower/fold_batch_norm.py turns it into weights, or into MUL and ADD, before quantization.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import GraphError
from .base import Ins, Op, Outs, Types, need


@dataclass(frozen=True)
class BatchNorm(Op):
    """inputs: x [..., c], gamma [c], beta [c], mean [c], variance [c], all float32.

    Output: (x - mean) / sqrt(variance + epsilon) * gamma + beta, along the last dimension.
    """

    name: ClassVar[str] = "batch_norm"
    input_names: ClassVar[tuple[str, ...]] = ("x", "gamma", "beta", "mean", "variance")
    epsilon: float = 1e-5

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if not x.shape or any(need(t).shape != x.shape[-1:] for t in ins[1:]):
            raise GraphError(x.name, f"statistics {[need(t).shape for t in ins[1:]]} of an input {x.shape}")
        return [(x.shape, x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        # With constants it is folded into weights before anything is computed (lower/fold_batch_norm.py).
        constants = all(t is not None and t.is_const and t.dtype == "float32" for t in ins[1:])
        return [] if constants else ["its scale, shift, mean and variance must be float32 constants"]

    def forward(self, *xs: Any) -> Any:
        x, gamma, beta, mean, variance = xs
        return (x - mean) * (variance + self.epsilon).rsqrt() * gamma + beta
