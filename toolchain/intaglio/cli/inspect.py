"""`intaglio inspect`: what a model is made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from . import common

if TYPE_CHECKING:
    from rich.table import Table

    from ..stored_weights import StoredWeights
    from ..summary import Summary, TensorSummary


def inspect(
    model: common.Source,
    module: common.Module = None,
    example: common.Example = None,
    encodings: Annotated[
        bool, typer.Option("--encodings", help="What each way to store the weights of each layer takes (--weights).")
    ] = False,
    board: Annotated[
        str | None,
        typer.Option("--board", metavar="BOARD", help="Of --encodings; an emulated Cortex-M4 if it is left out."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Operators, shapes, MACs, parameters and quantization of a model, and what is unsupported and why."""
    from .. import boards
    from ..errors import DataError, UnsupportedError
    from ..models import shown as read
    from ..profile import SELECT
    from ..stored_weights import stored_weights
    from ..summary import summarize

    if board is not None and not encodings:
        raise DataError("--board", "is given without --encodings", "", "It says for which core their cost is estimated")
    core = boards.load(board or boards.DEFAULT).target
    graph = read(model, common.module_of(module, example))
    summary = summarize(graph)
    stored = stored_weights(graph, core) if encodings and not summary.problems else []
    if json:
        more = {"encodings": [asdict(s) for s in stored]} if encodings else {}
        common.print_json(summary.to_dict() | {"notes": list(graph.notes)} | more)
    elif encodings and not summary.problems:
        common.console().print(_encodings(summary.model, stored, core))
    else:
        out = common.console()
        wide = out.width >= 80 + max([5, *(len(layer.name) for layer in summary.layers)])
        common.print_table(out, _layers(summary, wide))
        if not wide:
            common.print_table(out, _names(summary))
        out.print(_ends(summary), "")
        out.print(_totals(summary), soft_wrap=True)
        out.print(f"{SELECT[0].upper()}{SELECT[1:]}.", soft_wrap=True)
        for note in graph.notes:
            out.print(note, soft_wrap=True, markup=False)
    if summary.problems:
        raise UnsupportedError(str(model), summary.problems, "`intaglio ops` lists what is supported")


def _encodings(model: str, stored: list[StoredWeights], core: str) -> Table:
    from ..columns import cells
    from ..stored_weights import ENCODINGS, estimated_for, ways

    shared = "flash: with tables; code is shared by all layers; for: the --weights that choose it"
    found = cells(ENCODINGS, ways(stored))
    table = common.table(
        model, *((column.heading, column.side) for column in found.columns),
        caption=f"instructions: estimated for the {estimated_for(core)}; {shared}",
    )  # fmt: skip
    for row in found.body:
        table.add_row(*row)
    if not stored:
        table.add_row("no layer with int8 weights and activations")
    return table


def _names(s: Summary) -> Table:
    table = common.table("", ("#", "right"), ("layer", "left"))
    for i, layer in enumerate(s.layers):
        table.add_row(str(i), layer.name)
    return table


def _layers(s: Summary, wide: bool) -> Table:
    """A row a layer; its name as well where the terminal is `wide`."""
    table = common.table(
        s.model,
        ("#", "right"),
        *([("layer", "name")] if wide else []),
        ("operator", "name"),
        ("in", "left"),
        ("out", "left"),
        ("MACs", "right"),
        ("params", "right"),
        ("scale, zero", "name"),
        ("weights", "left"),
    )
    for i, layer in enumerate(s.layers):
        table.add_row(
            str(i),
            *([layer.name] if wide else []),
            f"! {layer.op}" if layer.problems else layer.op,
            " ".join(map(common.dims, layer.inputs)),
            " ".join(map(common.dims, layer.outputs)),
            f"{layer.macs:,}" if layer.macs else "",
            f"{layer.parameters:,}" if layer.parameters else "",
            layer.quantization,
            layer.weights,
        )
    return table


def _ends(s: Summary) -> Table:
    headings = ("", "name", "shape", "dtype", "scale, zero")
    table = common.table("", *((heading, "left") for heading in headings))
    for kind, tensors in (("input", s.inputs), ("output", s.outputs), ("state", s.state)):
        for t in tensors:
            table.add_row(kind, t.name, common.dims(t.shape), t.dtype, _scale(t))
    return table


def _scale(t: TensorSummary) -> str:
    return "" if t.scale is None else f"{t.scale:.6g}, {t.zero_point}"


def _totals(s: Summary) -> str:
    text = (
        f"{len(s.layers)} operators, {s.macs:,} MACs, {s.parameters:,} parameters in {s.parameter_bytes:,} bytes, "
        f"{'float' if s.kind == 'float' else f'quantized ({s.kind})'}."
    )
    compiles = s.kind == "float" and not s.problems
    return text + (" Compiled to float32 C; to int8 with --calibrate X.npz." if compiles else "")
