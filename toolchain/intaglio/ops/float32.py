"""What operators share where their tensors are float32: in models that are not quantized, or only in part.

The NumPy references sum in double and round once, so that they are closer to the real result than any float32 kernel;
C is compared with them by relative error. Float sums depend on their order, hence on the compiler: no bytes to promise.
"""

from __future__ import annotations

import numpy as np

from ..graph import Array
from .activation import REAL_RANGE, Activation
from .base import Ins, Outs

LARGEST = float(np.finfo(np.float32).max)


def is_float(ins: Ins, outs: Outs) -> bool:
    """Whether a node computes in float32: at least one of its tensors is."""
    return any(t is not None and t.dtype == "float32" for t in (*ins, *outs))


def float_problems(ins: Ins, outs: Outs) -> list[str]:
    """Why a node with a float32 tensor cannot be executed: another of its tensors is not float32."""
    others = [t for t in (*ins, *outs) if t is not None and t.dtype != "float32"]
    return [f"it mixes float32 with {others[0].dtype} ({others[0].name})"] if others else []


def float_range(activation: Activation) -> tuple[float, float]:
    """What a fused activation leaves of the finite float32 numbers."""
    low, high = REAL_RANGE[activation]
    return max(low, -LARGEST), min(high, LARGEST)


def float_bounds(activation: Activation) -> tuple[tuple[str, float], tuple[str, float]]:
    """`float_range` as the last two fields of a kernel's parameters."""
    low, high = float_range(activation)
    return ("out_min", low), ("out_max", high)


def rounded(y: Array, activation: Activation = "none") -> Array:
    """Doubles -> float32, clamped to what the activation leaves."""
    return np.clip(y, *float_range(activation)).astype(np.float32)


def float_bits(value: float) -> int:
    """The int32 with the bytes of a float32."""
    return int(np.float32(value).view(np.int32))
