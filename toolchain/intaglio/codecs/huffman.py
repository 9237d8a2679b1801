"""Canonical Huffman codes of limited length for the weights of a layer; the decoder in C is huffman.h.

Canonical: codes of one length are consecutive numbers, after those of the length before. So the number of codes of
each length and the symbols in the order of their codes say everything.

Tables, uint8: low bits and filler of the gaps' code, then the code of gaps, then that of values. A code is one byte
with its shortest length in the upper half and the number of lengths from there on in the lower one; the number of codes
of each of these lengths; the symbols (values: int8). A code of one symbol has length 0 and takes no bits.

D. A. Huffman, Proc. IRE 40 (1952); limited by package-merge, L. Larmore and D. Hirschberg, J. ACM 37 (1990).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Array
from .nonzeros import (
    WINDOW,
    BitReader,
    Coded,
    GapCode,
    Kind,
    extra_bits,
    gap_codes,
    gap_histogram,
    histogram,
    join,
    smallest,
    tokens,
    ways,
    write_bits,
)

MAX_LENGTH = 12
"""Of a code, in bits: ITG_HUFFMAN_MAX in huffman.h."""


@dataclass(frozen=True)
class _Code:
    """symbols in the order of their codes, and the length of each"""

    symbols: tuple[int, ...]
    lengths: tuple[int, ...]

    def codes(self) -> dict[int, tuple[int, int]]:
        """(code, length in bits) of each symbol"""
        found: dict[int, tuple[int, int]] = {}
        code = 0
        previous = self.lengths[0] if self.lengths else 0
        for symbol, length in zip(self.symbols, self.lengths, strict=True):
            code <<= length - previous
            found[symbol] = (code, length)
            code, previous = code + 1, length
        return found

    def table(self) -> bytes:
        if not self.symbols:
            return b"\0"
        shortest, longest = self.lengths[0], self.lengths[-1]
        counts = [self.lengths.count(length) for length in range(shortest, longest + 1)]
        return bytes([shortest << 4 | len(counts), *counts, *(symbol & 0xFF for symbol in self.symbols)])


def code_lengths(counts: list[int], limit: int) -> list[int]:
    """The lengths of the best prefix code for symbols that occur `counts` times, none longer than `limit` bits.

    Raises ValueError when there are more than 2^limit symbols.
    """
    n = len(counts)
    if n > 1 << limit:
        raise ValueError(f"{n} symbols have no codes of {limit} bits")
    lengths = [0] * n
    if n < 2:
        return lengths
    order = sorted(range(n), key=counts.__getitem__)
    rounds: list[list[bool]] = []
    packages: list[int] = []
    for _ in range(limit):
        merged = sorted([(counts[i], True) for i in order] + [(weight, False) for weight in packages])
        rounds.append([is_symbol for _, is_symbol in merged])
        packages = [merged[i][0] + merged[i + 1][0] for i in range(0, len(merged) - 1, 2)]
    wanted = 2 * n - 2
    for is_symbol in reversed(rounds):
        taken = sum(is_symbol[:wanted])
        for i in order[:taken]:
            lengths[i] += 1
        wanted = 2 * (wanted - taken)
    return lengths


def encode(weights: Array) -> Coded:
    """int8 [rows][columns] -> the smallest of what this code makes of it."""
    return smallest([_encode(gaps, values, (weights.shape[0], weights.shape[1])) for gaps, values in ways(weights)])


def decode(coded: Coded) -> Array:
    """int8 [rows][columns], by the rules by which the device decodes. Raises IndexError beyond the stream's end."""
    tables = coded.tables.tolist()
    gap_code = GapCode(tables[0], tables[1])
    code, at = _read_code(tables, 2)
    value_code, _ = _read_code(tables, at)
    gap_words = {(length, word): symbol for symbol, (word, length) in code.codes().items()}
    value_words = {(length, word): symbol for symbol, (word, length) in value_code.codes().items()}
    reader = BitReader(coded.stream)
    gaps: list[int] = []
    values: list[int] = []
    end = coded.shape[0] * coded.shape[1]
    at = 0
    while True:
        gap = 0
        while (symbol := _next(reader, gap_words)) == gap_code.filler:
            gap += gap_code.filled
        gap += symbol << gap_code.low_bits | reader.take(gap_code.low_bits)
        gaps.append(gap)
        at += gap + 1
        if at > end:
            return join(gaps, values, coded.shape)
        values.append(_next(reader, value_words))


def _encode(gaps: Array, values: Array, shape: tuple[int, int]) -> Coded:
    gap_counts = histogram(gaps)
    value_code = _code(histogram(values), MAX_LENGTH)
    best: tuple[float, GapCode, _Code] | None = None
    for gap_code in gap_codes(gap_counts):
        found = gap_histogram(gap_counts, gap_code)
        code = _code(found, min(MAX_LENGTH, WINDOW - gap_code.low_bits))
        bits = extra_bits(found, gap_code) + 8 * len(code.table())
        bits += sum(found[symbol] * length for symbol, length in zip(code.symbols, code.lengths, strict=True))
        if best is None or bits < best[0]:
            best = (bits, gap_code, code)
    assert best is not None
    _, gap_code, code = best
    gap_words, value_words = code.codes(), value_code.codes()
    fields = []
    for kind, symbol in tokens(gaps, values, gap_code):
        if kind is Kind.LOW:
            fields.append((symbol, gap_code.low_bits))
        else:
            fields.append((gap_words if kind is Kind.GAP else value_words)[symbol])
    # The last two fields are the last gap's symbol and low bits.
    stream = write_bits(fields, fields[-1][1] + fields[-2][1])
    tables = bytes([gap_code.low_bits, gap_code.filler]) + code.table() + value_code.table()
    return Coded(np.frombuffer(tables, np.uint8), stream, shape)


def _code(counts: dict[int, int], limit: int) -> _Code:
    lengths = code_lengths([*counts.values()], limit)
    ordered = sorted(zip(lengths, counts, strict=True))
    return _Code(tuple(symbol for _, symbol in ordered), tuple(length for length, _ in ordered))


def _read_code(tables: list[int], at: int) -> tuple[_Code, int]:
    """The code that begins there (values come as 0 .. 255), and where it ends."""
    shortest, number = tables[at] >> 4, tables[at] & 15
    counts = tables[at + 1 : at + 1 + number]
    lengths = tuple(shortest + i for i, count in enumerate(counts) for _ in range(count))
    first = at + 1 + number
    return _Code(tuple(tables[first : first + len(lengths)]), lengths), first + len(lengths)


def _next(reader: BitReader, words: dict[tuple[int, int], int]) -> int:
    window = reader.window()
    length = 0
    while (length, window >> (WINDOW - length)) not in words:
        length += 1
    reader.take(length)
    return words[length, window >> (WINDOW - length)]
