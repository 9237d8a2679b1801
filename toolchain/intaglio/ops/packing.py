"""Weights of 4 or 2 bits, side by side in bytes: in flash (`pack`), and in a .tflite (`pack_flat`).

Two's complement, the first value in the lowest bits of its byte, as in TFLite's INT4.
"""

from __future__ import annotations

import numpy as np

from ..graph import Array, packed_size


def pack(values: Array, bits: int) -> Array:
    """int8 [n][...] -> uint8 [n][bytes]: each slice of the first dimension starts at a byte, the rest of its last
    byte being zero.

    So a kernel finds an output channel's weights without shifting, where that dimension is the output channel's; the
    weights of a depthwise convolution, [1][h][w][channels], are packed as one.
    """
    per = 8 // bits
    rows = values.reshape(len(values), -1).astype(np.uint8) & ((1 << bits) - 1)
    columns = packed_size(rows.shape[1], bits) * per
    rows = np.pad(rows, ((0, 0), (0, columns - rows.shape[1]))).reshape(len(rows), -1, per)
    shifts = np.arange(per, dtype=np.uint8) * bits
    return np.asarray(np.bitwise_or.reduce(rows << shifts, axis=2), np.uint8)


def pack_flat(values: Array, bits: int) -> Array:
    """int8 [...] -> uint8 [bytes]: all values in one row, as a .tflite holds them."""
    return pack(values.reshape(1, -1), bits).ravel()


def unpack_flat(packed: Array, size: int, bits: int) -> Array:
    """What `pack_flat` packed: uint8 [bytes] -> int8 [size]."""
    per = 8 // bits
    shifts = np.arange(per, dtype=np.uint8) * bits
    fields = ((packed[:, None] >> shifts) & ((1 << bits) - 1)).ravel()[:size].astype(np.int8)
    sign = 1 << (bits - 1)
    return np.asarray((fields ^ sign) - sign, np.int8)
