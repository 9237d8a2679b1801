"""`intaglio compile`: a model becomes a folder of C for one board, and firmware."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import common

if TYPE_CHECKING:
    from rich.table import Table

    from ..boards import Board
    from ..compiled_folder import Compiled
    from ..graph import Graph


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
    from .. import boards, compiled_folder, models

    with common.steps() as say:
        found = boards.load(board)
        how = common.quantization(calibrate, method, keep_float, weight_bits, activation_bits)
        graph = models.opened(model, how, say, common.module_of(module, example))
        lossless = lossless or compiled_folder.is_lossless(model)
        compiled = compiled_folder.compiled(
            graph, found, out, build, say, lossless, weights or compiled_folder.stored_as(model)
        )
    console = common.console()
    console.print(_sizes(compiled, found))
    console.print(f"{out}: {_contents(compiled)}", soft_wrap=True)
    for remark in _remarks(graph, compiled, calibrated=how is not None):
        console.print(remark, soft_wrap=True)


def _sizes(compiled: Compiled, board: Board) -> Table:
    manifest, memory = compiled.manifest, board.memory
    sizes = compiled.firmware.sizes if compiled.firmware else None
    table = common.table(f"{manifest.model} on {board.name}, bytes", ("", "left"), ("needs", "right"), ("has", "right"))
    flash, ram = (f"{memory.total(kind):,}" if memory else "" for kind in ("flash", "ram"))
    if sizes:
        table.add_row("flash", f"{sizes.flash_bytes:,}", flash)
        table.add_row("  code and tables", f"{sizes.flash_code_bytes:,}", "")
        table.add_row("  weights and biases", f"{manifest.weight_bytes:,}", "")
        table.add_row("RAM", f"{sizes.ram_bytes + sizes.stack_reserved_bytes:,}", ram)
        for name, count in sizes.ram_parts:
            table.add_row(f"  {name}", f"{count:,}", "")
        if sizes.stack_reserved_bytes:
            table.add_row("  reserved for the stack", f"{sizes.stack_reserved_bytes:,}", "")
        if memory and len(memory.regions) > 2:
            for region, (name, count) in zip(memory.regions, sizes.regions, strict=True):
                table.add_row(f"{name}: {', '.join(region.holds)}", f"{count:,}", f"{region.bytes:,}")
    else:
        table.add_row("weights and biases", f"{manifest.weight_bytes:,}", flash)
        table.add_row("arena", f"{manifest.arena_bytes:,}", ram)
    return table


def _remarks(graph: Graph, compiled: Compiled, calibrated: bool) -> Iterator[str]:
    """What a reader of the table could miss: floats, and options that changed nothing."""
    from ..graph import float_model

    manifest = compiled.manifest
    if float_model(graph):
        remedy = "" if calibrated else "; --calibrate gives integers"
        yield f"It computes in float32 (not bit-exact across compilers){remedy}."
    if manifest.lossless and sum(layer.macs for layer in manifest.layers) == graph.macs():
        yield "--lossless saved no multiply-accumulate: no layer has a channel that is constant, repeated or unread."
    if manifest.weights != "dense" and not any(layer.encoding for layer in manifest.layers):
        yield f"--weights {manifest.weights} changed nothing: no encoding of a layer's weights does better than dense."


def _contents(compiled: Compiled) -> str:
    name = compiled.manifest.model
    kernels = sum(source.startswith("kernels/") for source in compiled.manifest.sources)
    parts = [f"{name}.c and {name}.h", f"{kernels} kernel{'s' * (kernels != 1)}", "intaglio.json"]
    return ", ".join([*parts, "firmware.elf"] if compiled.firmware else parts)
