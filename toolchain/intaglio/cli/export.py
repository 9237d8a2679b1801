"""`intaglio export`: a model as a file for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import common


def export(
    source: common.Source,
    tflite: Annotated[Path, typer.Option("--tflite", metavar="F", help="The .tflite file to write.")],
    runtime: Annotated[
        Literal["tflm", "litert"] | None,
        typer.Option("--for", help="The runtime that is to run it, with the bytes of the C; by default both."),
    ] = None,
    calibrate: common.Calibrate = None,
    method: common.CalibrationMethod = None,
    activation_bits: common.ActivationBits = "8",
    module: common.Module = None,
    example: common.Example = None,
    keep_float: common.KeepFloat = None,
    weight_bits: common.WeightBits = None,
    lossless: common.Lossless = False,
) -> None:
    """Write a model, as it is or quantized, as a .tflite that TFLM and LiteRT run with equal bytes.

    What one of them lacks, or rounds otherwise, is written as operators that it has; where there is no such form, it is
    refused with the runtime's name.
    """
    from .. import compiled_folder, files, models
    from ..emit.tflite import write
    from ..lower.portable import portable
    from ..ops.portable import RUNTIMES

    with common.steps() as say:
        how = common.quantization(calibrate, method, keep_float, weight_bits, activation_bits)
        graph = models.opened(source, how, say, common.module_of(module, example))
        if lossless:
            say("removing channels")
            graph = compiled_folder.losslessly_reduced(graph, borders=False)
        say("writing")
        made, notes = portable(graph, RUNTIMES if runtime is None else (runtime,))
        data = write(made)
    files.write_file(tflite, data, keep=common.given(source, calibrate))
    console = common.console()
    for note in notes:
        console.print(f"written otherwise: {note}", soft_wrap=True)
    console.print(f"{tflite}: {len(made.nodes)} operators, {len(data):,} bytes")
