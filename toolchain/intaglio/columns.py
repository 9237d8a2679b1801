"""Columns of reports: what a figure is called, its unit, where it comes from and how it is written, said once.

A table is a tuple of columns beside the class of its rows: LAYERS and MEMORY in profile.py, ENCODINGS in
stored_weights.py, STEPS in the report of a recipe. The terminal, Markdown, HTML and JSON all take it from there, so a
new column is one entry: `Column("bytes_per_mac", "bytes/MAC", COMPUTED, show=ratio, value=lambda row, whole: ...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

COUNTED = "counted in QEMU"
HARDWARE = "hardware counter"
ESTIMATED = "estimated"
COMPUTED = "computed"
MEASURED = "measured"
ELF = "ELF"
MANIFEST = "intaglio.json"
PAINTED = "painted memory"
CALL_GRAPH = "GCC's call graph"

Side = Literal["left", "right", "name"]
"""How a column is set: text, numbers, or names, which are not broken into lines."""


def number(value: int) -> str:
    """12,345."""
    return f"{value:,}"


def ratio(value: float) -> str:
    """1.25."""
    return f"{value:.2f}"


def percent(value: float) -> str:
    """A part of 1: 12.5 %."""
    return f"{100 * value:.1f} %"


@dataclass(frozen=True)
class Column:
    """One figure of each row."""

    key: str
    """In JSON; also the attribute of a row that holds it, unless `value` says how to get it."""
    heading: str
    source: str = ""
    """COUNTED, ESTIMATED, HARDWARE, COMPUTED, ...: where the figure comes from."""
    unit: str = ""
    show: Callable[[Any], str] = number
    side: Side = "right"
    value: Callable[[Any, Any], Any] | None = None
    """From a row and the whole report; None where it is not known."""
    total: Callable[[Any], Any] | None = None
    """From the whole report, for the foot of the table."""
    under: str = ""
    """In a list of figures: the key of the one that this is a part of."""
    optional: bool = False
    """Left out of a table in which no row has it."""
    json: bool = True
    table: bool = True

    @property
    def title(self) -> str:
        """The heading; an estimate says so."""
        return f"{self.heading} ({ESTIMATED})" if self.source == ESTIMATED else self.heading

    def of(self, row: Any, whole: Any = None) -> Any:
        """The figure of a row."""
        return getattr(row, self.key) if self.value is None else self.value(row, whole)


FLASH = Column("flash_bytes", "flash", ELF, "bytes")
WEIGHTS = Column("flash_weight_bytes", "weights and biases", MANIFEST, "bytes")
MACS = Column("macs", "MACs", COMPUTED)
INSTRUCTIONS = Column("instructions", "instructions", COUNTED)


@dataclass(frozen=True)
class Cells:
    """A table as text: the columns that it has, a row each, and the foot."""

    columns: tuple[Column, ...]
    body: list[tuple[str, ...]]
    foot: tuple[str, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(column.title for column in self.columns)

    def markdown(self, change: Callable[[str, int, int], str] = lambda text, row, column: text) -> str:
        """As a table of Markdown; `change` may rewrite a cell."""
        rule = ["---:" if column.side == "right" else "---" for column in self.columns]
        rows = [[change(text, r, c) for c, text in enumerate(row)] for r, row in enumerate(self.body)]
        lines = [" | ".join(row) for row in (self.titles, *rows)]
        return "\n".join([f"| {lines[0]} |", f"|{'|'.join(rule)}|", *(f"| {line} |" for line in lines[1:])])


def cells(columns: Sequence[Column], rows: Sequence[Any], whole: Any = None, missing: str = "") -> Cells:
    """The text of each figure of each row; `missing` where it is not known."""

    def text(column: Column, value: Any) -> str:
        return missing if value is None else column.show(value)

    values = [[column.of(row, whole) for column in columns] for row in rows]
    shown = [
        i
        for i, column in enumerate(columns)
        if column.table and not (column.optional and all(row[i] is None for row in values))
    ]
    body = [tuple(text(columns[i], row[i]) for i in shown) for row in values]
    totals = [columns[i].total for i in shown]
    foot = tuple(
        "" if total is None else text(columns[i], total(whole)) for i, total in zip(shown, totals, strict=True)
    )
    return Cells(tuple(columns[i] for i in shown), body, foot)


def to_json(columns: Sequence[Column], row: Any, whole: Any = None) -> dict[str, Any]:
    """The figures of a row by key."""
    return {column.key: column.of(row, whole) for column in columns if column.json}


def nested(columns: Sequence[Column], under: str = "", depth: int = 0) -> list[tuple[int, Column]]:
    """A list of figures in the order of a table, each followed by its parts, and how deep each is."""
    found: list[tuple[int, Column]] = []
    for column in columns:
        if column.under == under and column.table:
            found += [(depth, column), *nested(columns, column.key, depth + 1)]
    return found
