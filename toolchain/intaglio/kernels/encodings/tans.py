"""The zeros before each nonzero and its value in tANS codes: codecs/tans.py, tans.h."""

from __future__ import annotations

from ...codecs import tans
from ...graph import Array
from . import Encoded, stored


def encode(weights: Array) -> Encoded:
    """int8 [rows][columns] -> tables uint8, stream uint16; the decoder makes larger tables in scratch."""
    coded = tans.encode(weights)
    arrays = (stored("tables", coded.tables, "tANS codes"), stored("stream", coded.stream, "tANS codes"))
    return Encoded(arrays, coded.ram_bytes, skips=True)
