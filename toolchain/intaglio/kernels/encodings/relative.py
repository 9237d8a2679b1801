"""Nonzeros, and how many zeros lie before each, a byte both: relative.h.

Gaps reach over the ends of rows. Of more than 255 zeros the 256th is taken for a nonzero (S. Han et al., "Deep
Compression", ICLR 2016, section 2).
"""

from __future__ import annotations

import numpy as np

from ...codecs.nonzeros import split
from ...graph import Array
from . import Encoded, stored

FILLED = 256


def encode(weights: Array) -> Encoded:
    """int8 [rows][columns] -> gaps uint8 [n + 1], the last being that to the end; values int8 [n]."""
    gaps, values = split(weights)
    fillers = gaps // FILLED
    at = np.cumsum(fillers + 1) - 1
    spaced = np.full(at[-1] + 1, FILLED - 1, np.uint8)
    spaced[at] = gaps % FILLED
    filled = np.zeros(len(spaced) - 1, np.int8)
    filled[at[:-1]] = values
    return Encoded((stored("gaps", spaced, "gaps"), stored("values", filled, "nonzeros")), skips=True)
