"""A bitmap of the nonzeros, and their values: sparse.h."""

from __future__ import annotations

import numpy as np

from ...graph import Array
from . import Encoded, stored


def encode(weights: Array) -> Encoded:
    """int8 [rows][columns] -> bitmap uint8 [rows][(columns + 7) / 8], the first weight in the lowest bit; values int8
    [nonzeros]."""
    bitmap = np.packbits(weights != 0, axis=1, bitorder="little")
    values = weights[weights != 0]
    return Encoded((stored("bitmap", bitmap, "nonzeros"), stored("values", values, "nonzeros")), skips=True)
