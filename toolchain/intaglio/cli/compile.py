"""`intaglio compile`: a model becomes a folder of C for one board, and firmware."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import common

if TYPE_CHECKING:
    from rich.table import Table

    from ..boards import Board
    from ..package import Compiled


def compile_(
    model: common.Source,
    board: Annotated[str, typer.Option("--board", metavar="BOARD", help="A name from `intaglio boards`, or a folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="The folder to write, all at once.")],
    calibrate: common.Calibrate = None,
    method: common.CalibrationMethod = None,
    keep_float: common.KeepFloat = None,
    module: common.Module = None,
    example: common.Example = None,
    weight_bits: common.WeightBits = None,
    activation_bits: common.ActivationBits = "8",
    lossless: common.Lossless = False,
    weights: common.Weights = None,
    build: Annotated[bool, typer.Option("--build/--no-build", help="Build firmware.elf as well.")] = True,
) -> None:
    """Write a model as plain C for a board, and build the firmware that runs it.

    A float model becomes float32 C, or integers with --calibrate.
    """
    from .. import boards, package
    from ..graph import float_model

    with common.steps() as say:
        found = boards.load(board)
        how = common.quantization(calibrate, method, keep_float, weight_bits, activation_bits)
        graph = package.load(model, how, say, common.module_of(module, example))
        lossless = lossless or package.is_lossless(model)
        compiled = package.compile_graph(graph, found, out, build, say, lossless, weights or package.stored_as(model))
    console = common.console()
    console.print(_sizes(compiled, found))
    console.print(f"{out}: {_contents(compiled)}")
    if float_model(graph):
        remedy = "" if how else "; --calibrate gives integers"
        console.print(f"It computes in float32 (not bit-exact across compilers){remedy}.")


def _sizes(compiled: Compiled, board: Board) -> Table:
    manifest, memory = compiled.manifest, board.memory
    sizes = compiled.firmware.sizes if compiled.firmware else None
    table = common.table(f"{manifest.model} on {board.name}, bytes", ("", "left"), ("needs", "right"), ("has", "right"))
    flash = str(f"{memory.flash_bytes:,}") if memory else ""
    ram = f"{memory.ram_bytes:,}" if memory else ""
    if sizes:
        table.add_row("flash", f"{sizes.flash_bytes:,}", flash)
        table.add_row("  code and tables", f"{sizes.flash_code_bytes:,}", "")
        table.add_row("  weights and biases", f"{manifest.weight_bytes:,}", "")
        table.add_row("RAM", f"{sizes.ram_bytes + sizes.stack_reserved_bytes:,}", ram)
        table.add_row("  arena", f"{manifest.arena_bytes:,}", "")
        if sizes.stack_reserved_bytes:
            table.add_row("  reserved for the stack", f"{sizes.stack_reserved_bytes:,}", "")
    else:
        table.add_row("weights and biases", f"{manifest.weight_bytes:,}", flash)
        table.add_row("arena", f"{manifest.arena_bytes:,}", ram)
    return table


def _contents(compiled: Compiled) -> str:
    name = compiled.manifest.model
    kernels = sum(source.startswith("kernels/") for source in compiled.manifest.sources)
    parts = [f"{name}.c and {name}.h", f"{kernels} kernels", "intaglio.json"]
    return ", ".join([*parts, "firmware.elf"] if compiled.firmware else parts)
