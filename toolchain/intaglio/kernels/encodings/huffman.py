"""The zeros before each nonzero and its value in Huffman codes: codecs/huffman.py, huffman.h."""

from __future__ import annotations

from ...codecs import huffman
from ...graph import Array
from . import Encoded, stored


def encode(weights: Array) -> Encoded:
    """int8 [rows][columns] -> tables uint8, stream uint16."""
    coded = huffman.encode(weights)
    comment = "Huffman codes"
    return Encoded((stored("tables", coded.tables, comment), stored("stream", coded.stream, comment)), skips=True)
