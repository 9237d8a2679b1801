"""2 bits each, 4 a byte: ops/packing.py. For weights that were quantized so, and for others that happen to fit."""

from __future__ import annotations

from ...graph import Array, packed_range
from ...ops.packing import pack
from . import Encoded, stored


def encode(weights: Array) -> Encoded | None:
    """int8 [rows][columns] -> uint8 [rows][bytes]; None beyond -2..1."""
    low, high = packed_range(2)
    if weights.min() < low or weights.max() > high:
        return None
    return Encoded((stored("weights", pack(weights, 2), "2 bits each"),))
