"""Weights as nonzeros: how many zeros lie before each, and its value. What the entropy coders code.

A layer's rows are run through as one, so that a gap may reach over the ends of rows: a row needs neither a count nor
an end mark, and rows of zeros cost nothing of their own. The zeros after the last nonzero are one more gap.

A gap becomes a symbol: its upper bits; its `low_bits` lowest bits, nearly even in any sparse layer, follow the code as
they are, which keeps the alphabet and its table small. A gap beyond `filler` << `low_bits` zeros is coded as the symbol
`filler`, which has no low bits and no value, and the rest anew.

Where few weights are zero, it is shorter to call zero a value like any other: then all gaps are 0 and take no bits in
any code, and nothing changes for the decoder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ..graph import Array

MAX_LOW_BITS = 7
MAX_FILLER = 254
"""So that the symbols 0 .. filler fit a byte, and their number as well."""
WINDOW = 16
"""Bits that the device can look at before it has to read on: at most so long are a code and its low bits."""
FILLER_BITS = 1 / 16
"""What a filler costs above its code, when codes are compared: it takes as long to decode as any symbol."""


class Kind(IntEnum):
    """What a token is coded by."""

    GAP = 0
    LOW = 1
    VALUE = 2


@dataclass(frozen=True)
class GapCode:
    """How gaps become symbols."""

    low_bits: int
    filler: int

    @property
    def filled(self) -> int:
        """The zeros that one filler stands for."""
        return self.filler << self.low_bits


@dataclass(frozen=True)
class Coded:
    """The weights of a layer as flash holds them.

    Attributes:
        tables: uint8 [bytes], what the decoder needs to know of the code; laid out as the coder says.
        stream: uint16 [halfwords], the codes, from the highest bit of a halfword down. Zeros fill the end so far
            that the device, which reads a halfword ahead, stays inside.
        shape: rows, columns.
        ram_bytes: scratch memory of the decoder.
    """

    tables: Array
    stream: Array
    shape: tuple[int, int]
    ram_bytes: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of flash: tables and stream."""
        return int(self.tables.nbytes + self.stream.nbytes)


def split(weights: Array) -> tuple[Array, Array]:
    """int8 [rows][columns] -> the zeros before each nonzero and after the last, int64 [n + 1], and values, int8 [n]."""
    flat = weights.ravel()
    at = np.flatnonzero(flat)
    gaps = np.diff(np.concatenate([[-1], at, [flat.size]])) - 1
    return gaps, flat[at]


def ways(weights: Array) -> list[tuple[Array, Array]]:
    """Gaps and values that int8 [rows][columns] may be coded as: nonzeros; all weights, where few are zero."""
    found = [split(weights)]
    if 4 * found[0][1].size > weights.size and np.unique(weights).size < 256:
        found.append((np.zeros(weights.size + 1, np.int64), weights.ravel()))
    return found


def smallest(found: list[Coded]) -> Coded:
    """Of what the `ways` take: nonzeros, unless all weights take 1 % less, as they take longer to decode."""
    return min(found, key=lambda coded: coded.nbytes * (1.0 if coded is found[0] else 1.01))


def join(gaps: list[int], values: list[int], shape: tuple[int, int]) -> Array:
    """What `split` took apart; a value may come as its byte. Raises ValueError when the gaps end elsewhere."""
    at = np.cumsum(np.asarray(gaps, np.int64) + 1) - 1
    if at[-1] != shape[0] * shape[1]:
        raise ValueError(f"the gaps end at {at[-1]}, the weights at {shape[0] * shape[1]}")
    flat = np.zeros(shape[0] * shape[1], np.int8)
    flat[at[:-1]] = np.asarray(values, np.int64).astype(np.int8)
    return flat.reshape(shape)


def histogram(symbols: Array) -> dict[int, int]:
    """How often each symbol occurs, the smallest symbol first."""
    found, counts = np.unique(symbols, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def gap_histogram(gaps: dict[int, int], code: GapCode) -> dict[int, int]:
    """How often each symbol occurs where `gaps` says how often each gap does."""
    found: Counter[int] = Counter()
    for gap, count in gaps.items():
        fillers, rest = divmod(gap, code.filled)
        found[rest >> code.low_bits] += count
        if fillers:
            found[code.filler] += fillers * count
    return dict(sorted(found.items()))


def extra_bits(counts: dict[int, int], code: GapCode) -> float:
    """Bits beside the symbols of gaps: their low bits, and the price of fillers."""
    fillers = counts.get(code.filler, 0)
    return (sum(counts.values()) - fillers) * code.low_bits + fillers * FILLER_BITS


def entropy_bits(counts: dict[int, int]) -> float:
    """Bits of all symbols at their entropy of order 0; 0.0 without symbols."""
    n = np.array([*counts.values()], np.float64)
    return float(n.sum() * np.log2(n.sum()) - (n * np.log2(n)).sum()) if n.size else 0.0


def entropy_bytes(weights: Array) -> float:
    """The lower bound in bytes, without any table, for what codes gaps and values one by one, each with its own code.

    The smaller of what nonzeros and, where `ways` has them, all weights take.
    """
    found = [entropy_bits(histogram(gaps)) + entropy_bits(histogram(values)) for gaps, values in ways(weights)]
    return min(found) / 8


def gap_codes(gaps: dict[int, int], most: int = 6) -> list[GapCode]:
    """The most promising codes, best first, when each symbol of the alphabet costs one byte of table."""
    longest = max(gaps)
    estimates = []
    for low_bits in range(MAX_LOW_BITS + 1):
        top = min(MAX_FILLER, (longest >> low_bits) + 1)
        fillers = {top, *(f for f in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192) if f < top)}
        for filler in sorted(fillers):
            code = GapCode(low_bits, filler)
            found = gap_histogram(gaps, code)
            bits = entropy_bits(found) + extra_bits(found, code) + 8 * len(found)
            estimates.append((bits, low_bits, filler))
    return [GapCode(low_bits, filler) for _, low_bits, filler in sorted(estimates)[:most]]


def tokens(gaps: Array, values: Array, code: GapCode) -> Iterator[tuple[Kind, int]]:
    """What the stream says, in order: fillers, a gap's symbol, its low bits, a value, and so on; a gap ends it."""
    mask = (1 << code.low_bits) - 1
    for i, gap in enumerate(gaps.tolist()):
        fillers, rest = divmod(gap, code.filled)
        for _ in range(fillers):
            yield Kind.GAP, code.filler
        yield Kind.GAP, rest >> code.low_bits
        yield Kind.LOW, rest & mask
        if i < len(values):
            yield Kind.VALUE, int(values[i])


def write_bits(fields: list[tuple[int, int]], ahead: int) -> Array:
    """(value, width in bits) of each field -> uint16 [halfwords], the first field in the highest bits.

    `ahead`: how many bits follow the last place where the decoder makes sure of a full window. There it has read one
    halfword more than the bits before need, and that is all that has to be there.
    """
    table = np.array(fields, np.int64).reshape(-1, 2)
    value, width = table[:, 0], table[:, 1]
    total = int(width.sum())
    halfwords = -(-(total - ahead) // WINDOW) + 1
    start = np.repeat(np.cumsum(width) - width, width)
    shift = np.repeat(width, width) - 1 - (np.arange(total) - start)
    bits = np.zeros(halfwords * WINDOW, np.uint8)
    bits[:total] = (np.repeat(value, width) >> shift) & 1
    return np.packbits(bits).view(">u2").astype(np.uint16)


class BitReader:
    """Reads what `write_bits` wrote, as the device does; IndexError beyond the end."""

    def __init__(self, stream: Array) -> None:
        self.stream = stream.tolist()
        self.read = 0
        self.bits = 0
        self.left = 0

    def window(self) -> int:
        """The next 16 bits, of which nothing is taken yet."""
        if self.left < WINDOW:
            self.bits = self.bits << WINDOW | self.stream[self.read]
            self.left += WINDOW
            self.read += 1
        return self.bits >> (self.left - WINDOW) & 0xFFFF

    def take(self, width: int) -> int:
        """The next `width` bits; those that `window` showed are enough for a code and its low bits."""
        self.left -= width
        found = self.bits >> self.left
        self.bits &= (1 << self.left) - 1
        return found
