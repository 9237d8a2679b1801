"""4 bits each, 2 a byte: ops/packing.py. For weights that were quantized so, and for others that happen to fit."""

from __future__ import annotations

from ...graph import Array, packed_range
from ...ops.packing import pack
from . import Encoded, stored


def encode(weights: Array) -> Encoded | None:
    """int8 [rows][columns] -> uint8 [rows][bytes]; None beyond -8..7."""
    low, high = packed_range(4)
    if weights.min() < low or weights.max() > high:
        return None
    return Encoded((stored("weights", pack(weights, 4), "4 bits each"),))
