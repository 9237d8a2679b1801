"""Runs a quantized Graph in floats, many samples at once: each tensor snapped to the values its integers can have.

Close to the integers, not equal to them: sums are float32 and rounded once. For estimates over calibration data
(bias correction); what is claimed about a model is measured with `interpret` or in C.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import INT_RANGE, Array, Tensor


def snapped(value: Any, t: Tensor) -> Any:
    """A torch tensor of real values, rounded and clipped to what tensor `t` (quantized per tensor, or float32 and then
    unchanged) can hold."""
    if t.dtype == "float32":
        return value
    low, high = INT_RANGE[t.dtype]
    q = (value / t.scale).round() + t.zero_point
    return (q.clamp(low, high) - t.zero_point) * t.scale


def real_values(t: Tensor) -> Array:
    """A constant as float32 real values: quantized per tensor or per channel, or float32 as it is."""
    assert t.data is not None
    if t.dtype == "float32":
        return t.data
    assert t.quant is not None
    scale, zero = np.asarray(t.quant.scale), np.asarray(t.quant.zero_point, np.float64)
    if t.quant.axis is not None and len(scale) > 1:
        along = [-1 if d == t.quant.axis else 1 for d in range(len(t.shape))]
        scale, zero = scale.reshape(along), zero.reshape(along)
    return np.asarray((t.data.astype(np.float64) - zero) * scale, np.float32)
