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
    method: common.CalibrationMethod = None,
    activation_bits: common.ActivationBits = "8",
    module: common.Module = None,
    example: common.Example = None,
    keep_float: common.KeepFloat = None,
    weight_bits: common.WeightBits = None,
    lossless: common.Lossless = False,
) -> None:
    """Write a model, as it is or quantized, as a .tflite that LiteRT and TFLM load."""
    from .. import files, package
    from ..emit.tflite import write

    with common.steps() as say:
        how = common.quantization(calibrate, method, keep_float, weight_bits, activation_bits)
        graph = package.load(source, how, say, common.module_of(module, example))
        if lossless:
            say("removing channels")
            graph = package.reduced(graph, borders=False)
        say("writing")
        data = write(graph)
    files.write_file(tflite, data, keep=common.given(source, calibrate))
    common.console().print(f"{tflite}: {len(graph.nodes)} operators, {len(data):,} bytes")
