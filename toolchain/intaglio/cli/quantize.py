"""`intaglio quantize`: a float model becomes one of integers, and why it lost what it lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import common

if TYPE_CHECKING:
    from rich.table import Table

    from ..graph import Array, Graph
    from ..quantize.explain import LayerReport, QuantizationReport
    from ..quantize.weights import WeightBits


def quantize(
    model: common.Model,
    calibrate: Annotated[
        Path, typer.Option("--calibrate", metavar="X.npz", help="Representative floats [n, ...], by name or `x0`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT.tflite", help="The quantized model to write; --report does without."),
    ] = None,
    method: common.CalibrationMethod = None,
    keep_float: common.KeepFloat = None,
    weight_bits: common.WeightBits = None,
    activation_bits: common.ActivationBits = "8",
    equalize: Annotated[
        bool, typer.Option("--equalize/--no-equalize", help="Cross-layer equalization before quantizing.")
    ] = False,
    bias_correction: Annotated[
        bool, typer.Option("--bias-correction/--no-bias-correction", help="Take shifts of channel means back.")
    ] = True,
    rounding: Annotated[
        Literal["nearest", "learned"], typer.Option(help="Learned: each weight's rounding serves its layer's result.")
    ] = "nearest",
    module: common.Module = None,
    example: common.Example = None,
    weight_bytes: Annotated[
        int | None,
        typer.Option("--weight-bytes", metavar="N", min=1, help="Choose 8, 4 or 2 bits a layer, so that weights fit."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", metavar="POINTS", min=0.0, help="The fewest bits with which --test loses no more."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option("--test", metavar="T.npz", help="For --max-drop: inputs, and labels `y`.")
    ] = None,
    lossless: common.Lossless = False,
    report: Annotated[bool, typer.Option("--report", help="Compare floats and integers layer by layer.")] = False,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="F", help="Write the report as JSON; `-` is stdout, alone.")
    ] = None,
) -> None:
    """Quantize a float model to int8 (weights per channel), or to int16 activations with int8 weights, and write it as
    a .tflite."""
    from .. import compiled_folder, files, models
    from ..budget import bits_within_bytes, bits_within_drop
    from ..emit.tflite import write
    from ..errors import DataError
    from ..graph import float_model
    from ..quantize.mixed import choices
    from ..quantize.post_training import post_training

    if out is None and not report and json is None:
        raise DataError("-o", "is missing", "", "Name the .tflite to write, or ask for --report")
    compared: QuantizationReport | None = None
    with common.steps() as say:
        graph = models.opened(model, say=say, module=common.module_of(module, example))
        if not float_model(graph):
            raise DataError(str(model), "is quantized already", "a float model")
        arrays = models.calibration_data(graph, calibrate)

        def made(bits: WeightBits) -> Graph:
            return post_training(
                graph, arrays, method, source=str(calibrate), equalized=equalize, bias_corrected=bias_correction,
                rounding=rounding, keep_float=keep_float or (), weight_bits=bits,
                activation_bits=common.bits(activation_bits),
            )  # fmt: skip

        chosen = common.weight_bits(weight_bits)
        if weight_bytes is not None or max_drop is not None or test is not None:
            _require_alone(weight_bits, activation_bits, weight_bytes, max_drop, test)
            say("measuring what each layer loses with few bits")
            every = choices(graph, arrays, method, str(calibrate))
            if weight_bytes is not None:
                chosen = bits_within_bytes(every, weight_bytes)
            else:
                assert max_drop is not None and test is not None
                chosen = bits_within_drop(every, max_drop, test, graph, made, say)
        say("quantizing")
        found = made(chosen)
        written = compiled_folder.losslessly_reduced(found, borders=False) if lossless else found
        data = write(written) if out is not None else b""
        if report or json is not None:
            say("comparing floats and integers")
            compared = _compare(graph, found, arrays, equalize)
    if out is not None:
        files.write_file(out, data, keep=common.given(model, calibrate, test))
    text = common.json_text(compared.to_dict()) if compared is not None else ""
    if json is not None and json != common.STDOUT:
        files.write_file(json, text.encode(), keep=common.given(model, calibrate, test, out))
    if json == common.STDOUT:
        print(text, end="")
        return
    console = common.console()
    if report and compared is not None:
        console.print(_layers(compared), "")
        _summary(compared)
    if isinstance(chosen, dict):
        console.print("Bits of weights: " + ", ".join(f"{name} {bits}" for name, bits in chosen.items()))
    if out is not None:
        console.print(f"{out}: {len(written.nodes)} operators, {len(data):,} bytes")
        common.tell_runtimes(written, out)


def _require_alone(
    weight_bits: list[str] | None, activation_bits: str, weight_bytes: int | None, max_drop: float | None,
    test: Path | None,
) -> None:  # fmt: skip
    """Raises DataError for a budget beside options that it excludes, or without the data that it needs."""
    from ..errors import DataError

    option = "--weight-bytes" if weight_bytes is not None else "--max-drop"
    if weight_bits:
        raise DataError(option, "is given with --weight-bits", "", "It chooses the bits itself")
    if activation_bits != "8":
        raise DataError(option, "is given with --activation-bits 16", "8", "Weights of few bits need int8 activations")
    if weight_bytes is not None and max_drop is not None:
        raise DataError("--weight-bytes", "is given with --max-drop", "", "One budget at a time")
    if (max_drop is None) != (test is None):
        missing = "--test" if test is None else "--max-drop"
        raise DataError(missing, "is missing", "", "--max-drop POINTS is judged on --test T.npz, inputs and labels y")


def _compare(graph: Graph, quantized: Graph, arrays: dict[str, Array], equalized: bool) -> QuantizationReport:
    from ..floats.simplify import simplify
    from ..quantize.calibrate import read_samples
    from ..quantize.equalize import equalize
    from ..quantize.explain import explain

    # Equalization changes what is between the layers, not the outputs: that is what the integers stand for.
    floats = equalize(graph) if equalized else simplify(graph)
    return explain(floats, quantized, read_samples(floats, arrays))


def _layers(r: QuantizationReport) -> Table:
    table = common.table(
        f"{r.model}: {r.samples} samples, floats against integers",
        ("", "name"),
        ("layer", "left"),
        ("operator", "name"),
        ("SQNR", "right"),
        ("cosine", "right"),
        ("clipped", "right"),
        ("alone", "right"),
        ("weights", "right"),
        ("channel", "name"),
        caption="SQNR, in dB: of the layer's result, with all error before it. Alone: of the outputs, when this layer "
        "is quantized and no other (weights: only its weights). Clipped: values beyond the integers. Channel: the "
        "worst one, and its SQNR.",
    )
    marked = {layer.name for layer in r.worst}
    for layer in r.layers:
        table.add_row(
            "!" if layer.name in marked else "",
            layer.name,
            layer.op,
            f"{layer.sqnr_db:.1f}",
            f"{layer.cosine:.5f}",
            f"{layer.saturated:.2%}",
            f"{layer.alone_db:.1f}",
            "" if layer.weights_db is None else f"{layer.weights_db:.1f}",
            _channel(layer),
        )
    return table


def _channel(layer: LayerReport) -> str:
    return next((f"{index}: {db:.0f}" for index, db in layer.worst_channels), "")


def _summary(r: QuantizationReport) -> None:
    console = common.console()
    console.print(f"The outputs have {r.output_db:.1f} dB.", soft_wrap=True)
    if r.worst:
        console.print("What hurts them most:", soft_wrap=True)
    for line in r.advice:
        console.print(f"  {line}", soft_wrap=True)
