"""Fused activations: names, the integer range they leave, their float meaning, their TFLite code."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ..graph import INT_RANGE, Tensor
from .fixed import I32_MAX, I32_MIN

Activation = Literal["none", "relu", "relu6", "relu_n1_to_1"]
REAL_RANGE: dict[Activation, tuple[float, float]] = {
    "none": (-math.inf, math.inf),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
}
TFLITE_CODE: dict[Activation, int] = {"none": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}


def activation_range(activation: Activation, out: Tensor) -> tuple[int, int]:
    """The integers that a fused activation leaves of the output's range; the output is quantized per tensor."""
    low, high = INT_RANGE[out.dtype]
    real_low, real_high = REAL_RANGE[activation]
    if math.isfinite(real_low):
        low = max(low, _quantized(real_low, out))
    if math.isfinite(real_high):
        high = min(high, _quantized(real_high, out))
    return low, high


def _quantized(real: float, t: Tensor) -> int:
    """round(real / scale) + zero point, in float32 and half away from zero as TFLM has it."""
    q = float(np.float32(real) / np.float32(t.scale))
    rounded = math.copysign(math.floor(abs(q) + 0.5), q) if math.isfinite(q) else math.copysign(I32_MAX, q)
    return int(min(max(rounded, I32_MIN), I32_MAX)) + t.zero_point


def torch_activation(x: Any, activation: Activation) -> Any:
    """The same on a float torch tensor."""
    if activation == "none":
        return x
    low, high = REAL_RANGE[activation]
    return x.clamp(min=low) if math.isinf(high) else x.clamp(low, high)
