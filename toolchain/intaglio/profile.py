"""What one inference costs on a board: instructions, memory, and which layer takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from . import runners
from .build import Firmware
from .columns import (
    CALL_GRAPH,
    COMPUTED,
    ELF,
    FLASH,
    HARDWARE,
    INSTRUCTIONS,
    MACS,
    MANIFEST,
    PAINTED,
    WEIGHTS,
    Column,
    cells,
    nested,
    percent,
    ratio,
    to_json,
)  # fmt: skip
from .errors import DataError, RunError
from .graph import Array
from .runners.base import RunResult
from .runners.count import plugin

__all__ = ["Latency", "LayerCost", "Memory", "Report", "plugin", "profile"]


RANDOM_INPUTS = 4
"""Inferences where nobody gives inputs."""
TOLERANCE = 1e-2
"""Relative error beyond which a float32 model is wrong, not rounded: rounding gives about 1e-6. In a model that is
quantized in part, a rounding may move an integer by one."""
SELECT = "options such as --keep-float select layers by name, or by a pattern: 'name*'"


@dataclass(frozen=True)
class Latency:
    """Of one inference. Instructions are what QEMU executed, not cycles; seconds are host wall-clock time."""

    instructions: int | None
    cycles: int | None
    seconds: float | None


@dataclass(frozen=True)
class Memory:
    """Bytes. Flash, RAM and arena are read from the ELF file (see build.Sizes); the high-water mark of the arena was
    measured on the board by painting memory. The stack has two sources: painting shows what was written, call graphs
    what GCC reserves. `stack_bytes` is the larger."""

    flash_bytes: int
    flash_code_bytes: int
    flash_weight_bytes: int
    ram_bytes: int
    arena_bytes: int
    stack_bytes: int | None
    arena_high_water: int | None
    buffer_bytes: int
    stack_painted_bytes: int | None
    stack_static_bytes: int | None


@dataclass(frozen=True)
class LayerCost:
    """One layer of one inference."""

    name: str
    op: str
    macs: int
    instructions: int | None
    cycles: int | None


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that was measured; None for what the runner cannot measure."""

    model: str
    board: str
    bit_exact: bool | None
    """Whether all outputs equal the reference byte for byte; None without a reference, and for a model that computes
    in float32: float sums depend on the compiler."""
    relative_error: float | None
    """Of such a model: the largest error of an output divided by the largest value of the reference of that output."""
    latency: Latency
    memory: Memory
    layers: tuple[LayerCost, ...]
    elf: str
    result: RunResult
    """The run that the figures come from."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `intaglio profile --json`: the schema in docs/formats.md; `relative_error` for float32 alone."""
        return {
            "model": self.model,
            "board": self.board,
            "bit_exact": self.bit_exact,
            **({} if self.relative_error is None else {"relative_error": self.relative_error}),
            "latency": to_json(LATENCY, self.latency),
            "memory": to_json(MEMORY, self.memory),
            "layers": [to_json(LAYERS, layer, self) for layer in self.layers],
            "elf": self.elf,
        }

    def require_close(self) -> None:
        """Raises RunError for a float32 model that is wrong and not rounded."""
        if self.relative_error is not None and self.relative_error > TOLERANCE:
            found = f"differs from the reference by {self.relative_error:.2g} of its largest output"
            raise RunError(f"{self.model} on {self.board}", found, f"up to {TOLERANCE}")

    def table(self, console: Console) -> None:
        """Print a row for each layer, the totals and the memory."""
        console.print(self._layer_table(console.width), "")
        console.print(self._memory_table())

    def _layer_table(self, width: int) -> Table:
        total = self.latency.instructions
        source = f"{INSTRUCTIONS.heading} {INSTRUCTIONS.source}, one inference"
        source = source if total is not None else "not counted on this board"
        rest = None if total is None else total - sum(layer.instructions or 0 for layer in self.layers)
        other = [] if rest is None else [LayerCost("(other)", "", 0, rest, None)]
        found = cells(LAYERS, [*self.layers, *other], self, missing="-")
        # A column is as wide as its widest cell, and two characters go between them; the index is a column as well.
        widths = [max(map(len, (title, foot, *(row[i] for row in found.body))))
                  for i, (title, foot) in enumerate(zip(found.titles, found.foot, strict=True))]  # fmt: skip
        name = next(i for i, column in enumerate(found.columns) if column.key == "name")
        others = len(str(len(self.layers))) + sum(widths) - widths[name]
        room = max(12, width - others - 2 * len(widths) + 1)
        cut = widths[name] > room
        table = _table(f"{self.model} on {self.board}", "", show_footer=True)
        table.caption = f"{source}\n{SELECT}" + ("; names are whole in a wider terminal and in --json" if cut else "")
        table.add_column("#", justify="right")
        for column, foot in zip(found.columns, found.foot, strict=True):
            table.add_column(column.title, foot, justify="right" if column.side == "right" else "left", no_wrap=True)
        for index, row in enumerate(found.body[: len(self.layers)]):
            # Names differ at their ends; the JSON has all of each.
            long = row[name]
            short = long if len(long) <= room else f"\u2026{long[1 - room :]}"
            table.add_row(str(index), *row[:name], short, *row[name + 1 :])
        for row in found.body[len(self.layers) :]:  # (other): it has no MACs
            texts = zip(found.columns, row, strict=True)
            table.add_row("", *("" if column.key == "macs" or text == "-" else text for column, text in texts))
        return table

    def _memory_table(self) -> Table:
        table = _table(f"memory, {FLASH.unit}", "")
        table.add_column("")
        table.add_column("bytes", justify="right")
        table.add_column("source")
        for depth, column in nested(MEMORY):
            value = column.of(self.memory)
            if value != 0 or not depth:
                table.add_row("  " * depth + column.title, "-" if value is None else column.show(value), column.source)
        exact = {None: "no reference to compare with", True: "equal to the reference, byte for byte"}
        outputs = exact.get(self.bit_exact, "DIFFERENT from the reference")
        if self.relative_error is not None:
            outputs = f"within {self.relative_error:.1e} (relative) of the NumPy reference; float32 is not bit-exact"
        table.caption = f"outputs: {outputs}"
        if self.latency.seconds is not None:
            table.caption += f"; {self.latency.seconds * 1e6:,.1f} us wall-clock on this computer, fastest inference"
        return table


def _part(part: int | None, whole: int | None) -> float | None:
    """A quotient, where both are known."""
    return part / whole if part is not None and whole else None


LATENCY = (
    INSTRUCTIONS,
    Column("cycles", "cycles", HARDWARE),
    Column("seconds", "seconds", "host's clock", "s"),
)
LAYERS = (
    Column("name", "layer", side="name", show=str, total=lambda report: "total"),
    Column("op", "operator", side="name", show=str),
    replace(MACS, total=lambda report: sum(layer.macs for layer in report.layers)),
    replace(INSTRUCTIONS, total=lambda report: report.latency.instructions),
    Column("cycles", "cycles", HARDWARE, optional=True, total=lambda report: report.latency.cycles),
    Column("share", "share", COMPUTED, show=percent, json=False,
           value=lambda layer, report: _part(layer.instructions, report.latency.instructions)),
    Column("instructions_per_mac", "instr/MAC", COMPUTED, show=ratio, json=False,
           value=lambda layer, report: _part(layer.instructions, layer.macs),
           total=lambda report: _part(report.latency.instructions, sum(layer.macs for layer in report.layers))),
)  # fmt: skip
"""Of each layer, of one inference."""
MEMORY = (
    FLASH,
    Column("flash_code_bytes", "code and tables", "flash less weights", "bytes", under="flash_bytes"),
    replace(WEIGHTS, under="flash_bytes"),
    Column("ram_bytes", "RAM (without stack)", ELF, "bytes"),
    Column("arena_bytes", "arena", ELF, "bytes", under="ram_bytes"),
    Column("stack_bytes", "stack of one inference", "the larger of these", "bytes"),
    Column("arena_high_water", "touched", PAINTED, "bytes", under="arena_bytes"),
    Column("buffer_bytes", "input and output buffers", MANIFEST, "bytes", under="ram_bytes"),
    Column("other_ram_bytes", "other variables", "RAM less these", "bytes", under="ram_bytes", json=False,
           value=lambda m, _: m.ram_bytes - m.arena_bytes - m.buffer_bytes),
    Column("stack_painted_bytes", "written", PAINTED, "bytes", under="stack_bytes"),
    Column("stack_static_bytes", "frames, deepest calls", CALL_GRAPH, "bytes", under="stack_bytes"),
)  # fmt: skip
"""In the order of the JSON; a table has each figure before its parts."""


def profile(
    firmware: Firmware,
    inputs: Sequence[Array],
    reference_outputs: Sequence[Array] | None = None,
    *,
    exact: bool = True,
    timeout: float = 600.0,
    qemu_args: Sequence[str] = (),
) -> Report:
    """Run `inputs` on the board and measure. The figures are those of the second inference, or of the only one.

    Args:
        reference_outputs: what the outputs should be, one array an output, [n, ...].
        exact: whether they should be so to the byte; otherwise (float32) their relative error is reported.
        timeout, qemu_args: as for runners.run.

    Raises what runners.run raises, and DataError for a reference of the wrong size.
    """
    manifest, sizes = firmware.manifest, firmware.sizes
    compared = reference_outputs is not None
    result = runners.run(firmware, inputs, timeout=timeout, count=True, qemu_args=qemu_args)
    total = result.instructions[result.layers_of] if result.instructions else None
    layers = tuple(
        LayerCost(layer.name, layer.op, layer.macs, _layer_count(result.layers, index), None)
        for index, layer in enumerate(manifest.layers)
    )
    return Report(
        model=manifest.model,
        board=firmware.board.name,
        bit_exact=_equal(result.outputs, reference_outputs or ()) if compared and exact else None,
        relative_error=relative_error(result.outputs, reference_outputs or ()) if compared and not exact else None,
        latency=Latency(total, None, result.seconds),
        memory=Memory(
            flash_bytes=sizes.flash_bytes,
            flash_code_bytes=sizes.flash_code_bytes,
            flash_weight_bytes=sizes.flash_weight_bytes,
            ram_bytes=sizes.ram_bytes,
            arena_bytes=sizes.arena_bytes,
            buffer_bytes=sizes.buffer_bytes,
            stack_bytes=max((n for n in (result.stack_bytes, sizes.stack_static_bytes) if n is not None), default=None),
            stack_painted_bytes=result.stack_bytes,
            stack_static_bytes=sizes.stack_static_bytes,
            arena_high_water=result.arena_high_water,
        ),
        layers=layers,
        elf=str(firmware.elf),
        result=result,
    )


def _table(title: str, caption: str, show_footer: bool = False) -> Table:
    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        show_footer=show_footer,
    )


def _layer_count(counts: dict[int, int] | None, index: int) -> int | None:
    """A layer without code executes nothing."""
    return None if counts is None else counts.get(index, 0)


def _equal(outputs: Sequence[Array], reference: Sequence[Array]) -> bool:
    """Same dtypes and bytes; a batch axis of 1 may be there or not."""
    _check_sizes(outputs, reference)
    return all(
        got.dtype == np.asarray(expected).dtype and got.tobytes() == np.asarray(expected).tobytes()
        for got, expected in zip(outputs, reference, strict=True)
    )


def _check_sizes(outputs: Sequence[Array], reference: Sequence[Array]) -> None:
    if len(outputs) != len(reference):
        raise DataError("reference outputs", f"{len(reference)} arrays", str(len(outputs)))
    for got, expected in zip(outputs, map(np.asarray, reference), strict=True):
        if got.size != expected.size or len(got) != len(expected):
            raise DataError("reference outputs", f"shape {list(expected.shape)}", str(list(got.shape)))


def relative_error(outputs: Sequence[Array], reference: Sequence[Array]) -> float:
    """The largest error of an output by the largest magnitude of its reference, of the worst output; infinite where
    one of them is not a number. Raises DataError for a reference of the wrong size."""
    _check_sizes(outputs, reference)
    worst = 0.0
    for got, expected in zip(outputs, reference, strict=True):
        want = np.asarray(expected, np.float64).reshape(-1)
        error = float(np.abs(got.reshape(-1) - want).max())
        size = float(np.abs(want).max())
        worst = max(worst, 0.0 if error == 0.0 else error / size if size > 0.0 else math.inf)
        if math.isnan(error):
            return math.inf
    return worst
