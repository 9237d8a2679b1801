"""Tabled asymmetric numeral systems (tANS) for the weights of a layer; the decoder in C is tans.h.

Unlike a Huffman code, a symbol may take a fraction of a bit, which pays where one symbol is more frequent than all
others together. Flash holds the frequencies, scaled to a sum of 2^log; the device makes of them the two tables that it
decodes by, 2^log entries of 4 bytes each, in scratch memory, before the first row. (As constants these tables would be
larger than all that tANS saves.)

The state, 0 .. 2^log - 1, is the number of an entry, which has a symbol, a number of bits and a base: the next state is
the base plus that many bits of the stream. Gaps and values have a table each and share the state. The encoder goes
backwards.

Tables, uint8: log in the upper half of a byte and the low bits of the gaps' code in the lower one; filler; the number
of gap symbols, and the frequency of each from 0 on; the number of values, the frequency of each, and the values (int8).
A symbol that is alone has the frequency 2^log, whatever its byte says.

J. Duda, "Asymmetric numeral systems", arXiv:1311.2540 (2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..graph import Array
from .nonzeros import (
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

LOGS = range(5, 9)
"""Logarithms of the sizes of tables; frequencies of the largest still fit a byte."""
ENTRY_BYTES = 4
_NEARLY = 1.005
"""Smaller tables are worth this factor in flash."""


@dataclass(frozen=True)
class _Plan:
    """How a layer will be coded."""

    log: int
    gap_code: GapCode
    gaps: list[int]
    values: list[int]
    nbytes: float


def encode(weights: Array) -> Coded:
    """int8 [rows][columns] -> the smallest of what this code makes of it, with the smaller tables if nearly so."""
    return smallest([_encode(gaps, values, (weights.shape[0], weights.shape[1])) for gaps, values in ways(weights)])


def decode(coded: Coded) -> Array:
    """int8 [rows][columns], by the rules by which the device decodes. Raises IndexError beyond the stream's end."""
    tables = coded.tables.tolist()
    size = 1 << (tables[0] >> 4)
    gap_code = GapCode(tables[0] & 15, tables[1])
    number = tables[2]
    gap_table = _entries(tables[3 : 3 + number], [*range(number)], size)
    at = 3 + number
    number = tables[at]
    value_table = _entries(tables[at + 1 : at + 1 + number], tables[at + 1 + number :], size)
    reader = BitReader(coded.stream)
    reader.window()
    state = reader.take(tables[0] >> 4)

    def read(table: list[tuple[int, int, int]]) -> int:
        nonlocal state
        symbol, width, base = table[state]
        reader.window()
        state = base + reader.take(width)
        return symbol

    gaps: list[int] = []
    values: list[int] = []
    end = coded.shape[0] * coded.shape[1]
    at = 0
    while True:
        gap = 0
        while (symbol := read(gap_table)) == gap_code.filler:
            gap += gap_code.filled
        gap += symbol << gap_code.low_bits | reader.take(gap_code.low_bits)
        gaps.append(gap)
        at += gap + 1
        if at > end:
            return join(gaps, values, coded.shape)
        values.append(read(value_table))


def scale(counts: list[int], size: int) -> list[int]:
    """Frequencies with the sum `size` that take the fewest bits for symbols that occur `counts` times.

    A symbol that occurs has at least 1, and not more than fits a byte, unless it is alone. Raises ValueError when
    `size` is less than the number of symbols that occur.
    """
    if len(counts) < 2:
        return [size] * len(counts)
    found = np.array(counts, np.float64)
    frequencies = (found > 0).astype(np.int64)
    if frequencies.sum() > size:
        raise ValueError(f"{frequencies.sum()} symbols do not fit {size} states")
    for _ in range(size - int(frequencies.sum())):
        # What a symbol gains by one more; where none occurs, nothing.
        gain = found * np.log2((frequencies + 1) / np.maximum(frequencies, 1))
        frequencies[np.where(frequencies < 255, gain, -1.0).argmax()] += 1
    return [int(f) for f in frequencies]


def _encode(gaps: Array, values: Array, shape: tuple[int, int]) -> Coded:
    counts = histogram(values)
    plan = _plan(histogram(gaps), counts)
    number = {symbol: i for i, symbol in enumerate(counts)}
    size = 1 << plan.log
    frequencies = {Kind.GAP: plan.gaps, Kind.VALUE: plan.values}
    slots = {kind: _slots(found, size) for kind, found in frequencies.items()}
    state = 0
    fields = []
    for kind, symbol in reversed([*tokens(gaps, values, plan.gap_code)]):
        if kind is Kind.LOW:
            fields.append((symbol, plan.gap_code.low_bits))
            continue
        which = number[symbol] if kind is Kind.VALUE else symbol
        frequency = frequencies[kind][which]
        full = size + state
        width = max(0, full.bit_length() - frequency.bit_length())
        if full >> width < frequency:
            width -= 1
        fields.append((full & (1 << width) - 1, width))
        state = slots[kind][which][(full >> width) - frequency]
    fields.append((state, plan.log))
    # The first two that were written are the last gap's low bits and symbol.
    stream = write_bits(fields[::-1], fields[0][1] + fields[1][1])
    tables = [plan.log << 4 | plan.gap_code.low_bits, plan.gap_code.filler, len(plan.gaps), *plan.gaps]
    tables += [len(plan.values), *plan.values, *counts]
    entries = (1 + bool(counts)) << plan.log  # without values they have no table
    return Coded(np.array(tables, np.int64).astype(np.uint8), stream, shape, ENTRY_BYTES * entries)


def _plan(gaps: dict[int, int], values: dict[int, int]) -> _Plan:
    plans = []
    for log in LOGS:
        if len(values) > 1 << log:
            continue
        value_frequencies = scale([*values.values()], 1 << log)
        value_bytes = _bits([*values.values()], value_frequencies, log) / 8 + 2 * len(values)
        for code in gap_codes(gaps):
            found = gap_histogram(gaps, code)
            counts = [found.get(symbol, 0) for symbol in range(max(found) + 1)]
            if len(counts) > 1 << log:
                continue
            frequencies = scale(counts, 1 << log)
            nbytes = len(counts) + (_bits(counts, frequencies, log) + extra_bits(found, code)) / 8
            plans.append(_Plan(log, code, frequencies, value_frequencies, value_bytes + nbytes))
    smallest = min(plan.nbytes for plan in plans)
    log = min(plan.log for plan in plans if plan.nbytes <= smallest * _NEARLY)
    return min((plan for plan in plans if plan.log == log), key=lambda plan: plan.nbytes)


def _bits(counts: list[int], frequencies: list[int], log: int) -> float:
    return sum(n * (log - math.log2(f)) for n, f in zip(counts, frequencies, strict=True) if n)


def _slots(frequencies: list[int], size: int) -> list[list[int]]:
    """The states that have each symbol, in ascending order: spread by steps of about five eighths."""
    step = size * 5 // 8 | 1
    found = []
    at = 0
    for frequency in frequencies:
        found.append(sorted((at + i * step) % size for i in range(frequency)))
        at += frequency * step
    return found


def _entries(frequencies: list[int], symbols: list[int], size: int) -> list[tuple[int, int, int]]:
    """(symbol, bits, base) of each state"""
    if len(frequencies) == 1:
        frequencies = [size]
    entries = [(0, 0, 0)] * size
    for symbol, slots in zip(symbols, _slots(frequencies, size), strict=True):
        for i, slot in enumerate(slots):
            full = len(slots) + i
            width = size.bit_length() - full.bit_length()
            entries[slot] = (symbol, width, (full << width) - size)
    return entries
