"""From addresses within <model>_run to layers, through the source lines in the firmware's debug information."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.elf.elffile import ELFFile

from ..manifest import Manifest


@dataclass(frozen=True)
class _Inlined:
    """A call that the compiler replaced by its body: where the body is, and the line of the call."""

    ranges: tuple[tuple[int, int], ...]
    line: int


@dataclass(frozen=True)
class _Lines:
    """Line information of one compilation unit."""

    starts: list[int]
    lines: list[int | None]
    inlined: list[_Inlined]

    def at(self, address: int) -> Iterator[int]:
        """Lines of <model>.c that led to the instruction at an address, the innermost first."""
        row = bisect.bisect_right(self.starts, address) - 1
        line = self.lines[row] if row >= 0 else None
        if line is not None:
            yield line
        for call in reversed(self.inlined):
            if any(low <= address < high for low, high in call.ranges):
                yield call.line


def layer_of(elf: Path, manifest: Manifest, addresses: Iterable[int]) -> dict[int, int | None]:
    """The index of the layer that each address belongs to; None for the frame around the layers."""
    by_line = {
        line: index
        for index, layer in enumerate(manifest.layers)
        if layer.line is not None
        for line in range(layer.line[0], layer.line[1] + 1)
    }
    with elf.open("rb") as stream:
        file = ELFFile(stream)
        dwarf = file.get_dwarf_info() if file.has_dwarf_info() else None
        found = _lines(dwarf, f"{manifest.model}.c") if dwarf is not None else _Lines([], [], [])
    return {
        address: next((by_line[line] for line in found.at(address) if line in by_line), None) for address in addresses
    }


def _lines(dwarf: DWARFInfo, source: str) -> _Lines:
    """What is known about the lines of `source`."""
    rows: list[tuple[int, bool, int | None]] = []
    inlined: list[_Inlined] = []
    for unit in dwarf.iter_CUs():
        if PurePosixPath(_name(unit.get_top_DIE().attributes)).name != source:
            continue
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        version = program["version"]
        files = {
            # DWARF counts files from 1, up to version 4.
            number + (1 if version < 5 else 0)
            for number, entry in enumerate(program["file_entry"])
            if PurePosixPath(entry.name.decode("utf-8", "replace")).name == source
        }
        previous: int | None = None
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if state.end_sequence:
                rows.append((state.address, False, None))
                previous = None
                continue
            # Line 0 is "no particular line": the compiler's own code between two statements.
            line = (state.line or previous) if state.file in files else None
            rows.append((state.address, True, line))
            previous = line
        inlined += _inlined(dwarf, unit, files)
    rows.sort(key=lambda row: row[:2])  # where a function ends another may start: the start comes last and wins
    return _Lines([row[0] for row in rows], [row[2] for row in rows], inlined)


def _inlined(dwarf: DWARFInfo, unit: CompileUnit, files: set[int]) -> Iterator[_Inlined]:
    """The inlined calls in `files`, an outer one before those within it."""
    for die in unit.iter_DIEs():
        if die.tag != "DW_TAG_inlined_subroutine":
            continue
        attributes = die.attributes
        line, file = attributes.get("DW_AT_call_line"), attributes.get("DW_AT_call_file")
        if line is not None and file is not None and file.value in files:
            yield _Inlined(tuple(_ranges(dwarf, unit, attributes)), line.value)


def _ranges(dwarf: DWARFInfo, unit: CompileUnit, attributes: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    if "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
        low, high = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
        yield low, high.value if high.form == "DW_FORM_addr" else low + high.value
    elif "DW_AT_ranges" in attributes:
        base_attribute = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
        base = base_attribute.value if base_attribute is not None else 0
        lists = dwarf.range_lists()
        entries = lists.get_range_list_at_offset(attributes["DW_AT_ranges"].value, cu=unit) if lists else []
        for entry in entries:
            if hasattr(entry, "base_address"):
                base = entry.base_address
            else:
                offset = 0 if getattr(entry, "is_absolute", False) else base
                yield entry.begin_offset + offset, entry.end_offset + offset


def _name(attributes: Mapping[str, Any]) -> str:
    value = attributes["DW_AT_name"].value if "DW_AT_name" in attributes else b""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
