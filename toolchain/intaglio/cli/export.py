"""`intaglio export`: a model as a file for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import common


def export(
    source: common.Source,
    tflite: Annotated[Path, typer.Option("--tflite", metavar="F", help="The .tflite file to write.")],
    calibrate: common.Calibrate = None,
    method: common.CalibrationMethod = "percentile",
    keep_float: common.KeepFloat = None,
    lossless: common.Lossless = False,
) -> None:
    """Write a model, as it is or quantized, as a .tflite that LiteRT and TFLM load."""
    from .. import files, package
    from ..emit.tflite import write

    with common.steps() as say:
        graph = package.load(source, calibrate, method, say, keep_float or ())
        say("writing")
        data = write(package.reduced(graph, borders=False) if lossless else graph)
    files.write_file(tflite, data, keep=(source,))
    common.console().print(f"{tflite}: {len(graph.nodes)} operators, {len(data):,} bytes")
