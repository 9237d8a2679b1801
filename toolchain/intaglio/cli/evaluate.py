"""`intaglio evaluate`: how often a classifier is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import common

if TYPE_CHECKING:
    from rich.table import Table

    from ..accuracy import Accuracy

CLASSES = 20
"""So many classes at most have a row of their own."""


def evaluate(
    source: common.Source,
    data: Annotated[
        Path, typer.Option("--data", metavar="X.npz", help="Inputs [n, ...] by name, or `x`; labels `y` [n].")
    ],
    board: common.BoardName = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="F", help="Write JSON there; `-` is stdout, without the tables.")
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
    """Count how often the highest output of a classifier is the label's, on a board (this computer or QEMU).

    A float model is evaluated as it is too; without --calibrate and --board, only so.
    """
    from .. import files, models, prepare
    from ..graph import float_model
    from ..judge import Data, float_accuracy, judge

    results: list[Accuracy] = []
    with common.steps() as say:
        how = common.quantization(calibrate, method, keep_float, weight_bits, activation_bits)
        made_by = common.module_of(module, example)
        graph = models.reference(source, say=say, module=made_by)
        is_float = graph is not None and float_model(graph)
        if graph is not None and is_float:
            results.append(float_accuracy(graph, Data.read(data, graph), say))
        if not is_float or calibrate is not None or board is not None:
            found = prepare.board_for(source, board)
            if how is not None:
                graph = models.opened(source, how, say, made_by)
            read = Data.read(data, graph, source)
            calibrated = how is not None
            judged = judge(graph, found, read, folder=source, calibrated=calibrated, timeout=timeout, say=say)
            assert judged.accuracy is not None
            results.append(judged.accuracy)
    text = common.json_text({"model": str(source), "results": [r.to_dict() for r in results]})
    if json == common.STDOUT:
        print(text, end="")
        return
    console = common.console()
    console.print(_table(source.name, results))
    if 2 < len(results[0].classes) <= CLASSES:
        console.print("", _classes(results))
    if json is not None:
        files.write_file(json, text.encode(), keep=common.given(source, data, calibrate))


def _table(name: str, results: list[Accuracy]) -> Table:
    table = common.table(
        name, ("", "left"), ("top-1", "right"), ("right", "right"), ("of", "right"), ("lost to ties", "right")
    )
    for r in results:
        table.add_row(r.what, f"{r.top1:.2%}", f"{r.right:,}", f"{r.samples:,}", f"{r.tied:,}")
    return table


def _classes(results: list[Accuracy]) -> Table:
    table = common.table("", ("class", "right"), ("samples", "right"), *((r.what, "right") for r in results))
    for counts in zip(*(r.classes for r in results), strict=True):
        shares = [f"{c.right / c.samples:.1%}" for c in counts]
        table.add_row(str(counts[0].label), f"{counts[0].samples:,}", *shares)
    return table
