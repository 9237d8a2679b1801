"""Indices of 1 to 8 bits into a table of the values that occur: codebook.h.

One table a layer, or one for so many rows, whichever is smaller: weights with a scale a channel may have few values in
each channel and many in all.

Tables, uint8: bits of an index, indices that 16 bits hold, entries of a table, rows that share a table (low byte, high
byte; 0: all), then one table after another, int8, each as long as the longest. Stream, uint16: indices from the
highest bit of a halfword down, without gaps (bits.h).
"""

from __future__ import annotations

import numpy as np

from ...codecs.nonzeros import WINDOW, write_bits
from ...graph import Array
from . import Encoded, stored

MAX_ENTRIES = 255
MAX_ROWS = 0xFFFF


def encode(weights: Array) -> Encoded | None:
    """int8 [rows][columns] -> tables uint8, stream uint16; None where even a table for each row would have more than
    255 values."""
    rows = len(weights)
    ways = [0, *(1 << i for i in range((rows - 1).bit_length()) if 1 << i <= MAX_ROWS)]
    found = [e for e in (_encode(weights, shared) for shared in ways) if e is not None]
    return min(found, key=lambda e: e.nbytes, default=None)


def _encode(weights: Array, shared: int) -> Encoded | None:
    """With a table for each `shared` rows, 0 for all."""
    rows, columns = weights.shape
    groups = [weights[i : i + (shared or rows)] for i in range(0, rows, shared or rows)]
    tables = [np.unique(group) for group in groups]
    entries = max(len(table) for table in tables)
    if entries > MAX_ENTRIES:
        return None
    bits = max(1, (entries - 1).bit_length())
    run = WINDOW // bits
    indices = np.concatenate([np.searchsorted(t, g).ravel() for t, g in zip(tables, groups, strict=True)])
    # The decoder makes sure of a window before each run of a row.
    last = (columns - 1) % run + 1
    stream = write_bits([(int(i), bits) for i in indices], last * bits)
    head = np.array([bits, run, entries, shared & 0xFF, shared >> 8], np.uint8)
    padded = [np.pad(table, (0, entries - len(table))).view(np.uint8) for table in tables]
    what = f"{entries} values, {bits} bits each"
    return Encoded((stored("tables", np.concatenate([head, *padded]), what), stored("stream", stream, what)))
