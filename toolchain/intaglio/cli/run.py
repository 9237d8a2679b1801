"""`intaglio run`: inferences on a board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import common

if TYPE_CHECKING:
    from rich.table import Table

    from ..graph import Array
    from ..manifest import Port

_ROWS, _VALUES = 8, 12


def run(
    source: common.Source,
    inputs: Annotated[
        Path, typer.Option("--inputs", metavar="X.npz", help="One array an input, [n, ...], by name or `x0`, `x1`.")
    ],
    board: common.BoardName = None,
    outputs: Annotated[
        Path | None, typer.Option("--outputs", metavar="Y.npz", help="Write outputs there, [n, ...], by name or `y`.")
    ] = None,
    timeout: common.Timeout = 600.0,
    calibrate: common.Calibrate = None,
    method: common.CalibrationMethod = None,
    keep_float: common.KeepFloat = None,
    weight_bits: common.WeightBits = None,
    activation_bits: common.ActivationBits = "8",
    module: common.Module = None,
    example: common.Example = None,
) -> None:
    """Run a model on a board, one inference for each input, state carried from one to the next.

    Integer inputs pass through. Float inputs are quantized where the model takes integers; outputs are then floats.
    """
    from .. import arrays, models, prepare, runners

    with common.steps() as say:
        found = prepare.board_for(source, board)
        how = common.quantization(calibrate, method, keep_float, weight_bits, activation_bits)
        graph = models.reference(source, how, say, common.module_of(module, example))
        ports = models.ports_of(source, graph)
        batch = arrays.batch(arrays.load(inputs, ports[0]), ports[0], str(inputs))
        with prepare.prepared(source, found, graph, say, calibrated=how is not None) as firmware:
            running = f"running {len(batch)} inferences on {found.name}"
            say(running, 0, len(batch))
            result = runners.run(
                firmware, batch.arrays, timeout=timeout, done=lambda n: say(running, n, len(batch))
            )  # fmt: skip
    values = result.outputs
    if batch.floats:
        values = [arrays.dequantize(v, port) for v, port in zip(values, ports[1], strict=True)]
    console = common.console()
    if outputs is not None:
        arrays.save(outputs, values, ports[1], keep=common.given(source, inputs, calibrate))
    else:
        for port, value in zip(ports[1], values, strict=True):
            console.print(_table(port, value))
    where = f"; outputs in {outputs}" if outputs is not None else ""
    console.print(f"{len(batch)} inferences of {firmware.manifest.model} on {found.name}{where}")


def _table(port: Port, values: Array) -> Table:
    """The first elements of the first inferences."""
    table = common.table(f"{port.name}: {port.dtype} {common.dims(port.shape)}", ("inference", "right"), ("", "left"))
    for i, row in enumerate(values[:_ROWS].reshape(min(len(values), _ROWS), -1)):
        table.add_row(str(i), _row(row.tolist()))
    if len(values) > _ROWS:
        table.add_row("...", f"{len(values) - _ROWS} more: --outputs Y.npz writes all of them")
    return table


def _row(values: Sequence[float]) -> str:
    shown = " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values[:_VALUES])
    return f"{shown} ... ({len(values)} values)" if len(values) > _VALUES else shown
