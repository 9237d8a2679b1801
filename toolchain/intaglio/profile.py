"""What one inference costs on a board: instructions, memory, and which layer takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from . import runners
from .build import Firmware
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
        """The JSON of `intaglio profile --json`: the schema in DESIGN.md; `relative_error` for float32 alone."""
        return {
            "model": self.model,
            "board": self.board,
            "bit_exact": self.bit_exact,
            **({} if self.relative_error is None else {"relative_error": self.relative_error}),
            "latency": _plain(self.latency),
            "memory": _plain(self.memory),
            "layers": [_plain(layer) for layer in self.layers],
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
        source = "instructions executed in QEMU, one inference" if total is not None else "not counted on this board"
        table = _table(f"{self.model} on {self.board}", source, show_footer=True)
        macs = sum(layer.macs for layer in self.layers)
        table.add_column("#", justify="right")
        table.add_column("layer", "total", no_wrap=True)
        table.add_column("operator", no_wrap=True)
        table.add_column("MACs", f"{macs:,}", justify="right", no_wrap=True)
        table.add_column("instructions", _number(total), justify="right", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True)
        table.add_column("instr/MAC", _ratio(total, macs), justify="right", no_wrap=True)
        operators = max([8, *(len(layer.op) for layer in self.layers)])
        numbers = (len(f"{macs:,}"), len(f"{total or 0:,}"))
        others = len(str(len(self.layers))) + operators + max(4, numbers[0]) + max(12, numbers[1]) + 7 + 9
        room = max(12, width - others - 6 * 2 + 1)
        cut = any(len(layer.name) > room for layer in self.layers)
        table.caption = f"{source}\n{SELECT}" + ("; names are whole in a wider terminal and in --json" if cut else "")
        for index, layer in enumerate(self.layers):
            count = layer.instructions
            table.add_row(
                str(index),
                # Names differ at their ends; the JSON has all of each.
                layer.name if len(layer.name) <= room else f"\u2026{layer.name[1 - room :]}",
                layer.op,
                _number(layer.macs),
                _number(count),
                _share(count, total),
                _ratio(count, layer.macs),
            )
        if total is not None:
            other = total - sum(layer.instructions or 0 for layer in self.layers)
            table.add_row("", "(other)", "", "", _number(other), _share(other, total), "")
        return table

    def _memory_table(self) -> Table:
        m = self.memory
        rows: list[tuple[str, int | None, str]] = [
            ("flash", m.flash_bytes, "ELF"),
            ("  code and tables", m.flash_code_bytes, "flash less weights"),
            ("  weights and biases", m.flash_weight_bytes, "intaglio.json"),
            ("RAM (without stack)", m.ram_bytes, "ELF"),
            ("  arena", m.arena_bytes, "ELF"),
            ("  input and output buffers", m.buffer_bytes, "intaglio.json"),
            ("  other variables", m.ram_bytes - m.arena_bytes - m.buffer_bytes, "RAM less these"),
            ("arena, touched", m.arena_high_water, "painted memory"),
            ("stack of one inference", m.stack_bytes, "the larger of these"),
            ("  written", m.stack_painted_bytes, "painted memory"),
            ("  frames, deepest calls", m.stack_static_bytes, "GCC's call graph"),
        ]
        table = _table("memory, bytes", "")
        table.add_column("")
        table.add_column("bytes", justify="right")
        table.add_column("source")
        for name, value, source in rows:
            if value != 0 or not name.startswith("  "):
                table.add_row(name, _number(value), source)
        exact = {None: "no reference to compare with", True: "equal to the reference, byte for byte"}
        outputs = exact.get(self.bit_exact, "DIFFERENT from the reference")
        if self.relative_error is not None:
            outputs = f"within {self.relative_error:.1e} (relative) of the NumPy reference; float32 is not bit-exact"
        table.caption = f"outputs: {outputs}"
        if self.latency.seconds is not None:
            table.caption += f"; {self.latency.seconds * 1e6:,.1f} us wall-clock on this computer, fastest inference"
        return table


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


def _plain(figures: Latency | Memory | LayerCost) -> dict[str, Any]:
    return {f.name: getattr(figures, f.name) for f in fields(figures)}


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _share(part: int | None, total: int | None) -> str:
    return f"{100 * part / total:.1f} %" if part is not None and total else "-"


def _ratio(part: int | None, macs: int) -> str:
    return f"{part / macs:.2f}" if part is not None and macs else "-"
