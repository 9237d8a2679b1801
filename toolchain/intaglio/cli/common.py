"""What the verbs share: their options, the two consoles, and showing what takes time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from ..errors import DataError
from ..escape import for_terminal

if TYPE_CHECKING:
    from ..graph import Graph
    from ..models import Quantization
    from ..progress import Say
    from ..quantize.methods import Method
    from ..quantize.scales import ActivationBits as ActivationWidth

STDOUT = Path("-")
MANY_ROWS = 1000


Source = Annotated[
    Path, typer.Argument(metavar="DIR|MODEL", help="A compiled folder, or a .tflite, .onnx, .pt2 or .itg file.")
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A .tflite, .onnx, .pt2, .pt or .itg file.")]
BoardName = Annotated[
    str | None,
    typer.Option("--board", metavar="BOARD", help="A name from `intaglio boards`, or a folder with a board.toml."),
]
Calibrate = Annotated[
    Path | None,
    typer.Option("--calibrate", metavar="X.npz", help="Quantize a float model, with ranges from these inputs."),
]
CalibrationMethod = Annotated[
    Literal["minmax", "percentile", "mse", "entropy"] | None,
    typer.Option("--method", help="How --calibrate chooses ranges; by default percentile, or minmax for 16 bits."),
]
ActivationBits = Annotated[
    Literal["8", "16"],
    typer.Option("--activation-bits", help="Bits of what --calibrate quantizes besides weights, which have 8."),
]
KeepFloat = Annotated[
    list[str] | None,
    typer.Option("--keep-float", metavar="LAYER", help="A layer, or a pattern, that --calibrate leaves in float32."),
]
Module = Annotated[
    str | None,
    typer.Option("--module", metavar="PACKAGE.MODULE:CLASS", help="What the weights of a .pt file belong to."),
]
Example = Annotated[
    str | None,
    typer.Option("--example", metavar="1,3,32,32", help="With --module: the shape of the input, batch first."),
]
WeightBits = Annotated[
    list[str] | None,
    typer.Option(
        "--weight-bits",
        metavar="[LAYER=]BITS",
        help="Weights of 8, 4 or 2 bits: of all layers (4), or of a layer or pattern (conv*=4). Later ones win.",
    ),
]
Lossless = Annotated[
    bool, typer.Option("--lossless", help="Remove constant, repeated and unread channels; every output byte stays.")
]
Weights = Annotated[
    Literal["dense", "size", "balanced", "speed"] | None,
    typer.Option(
        "--weights", help="How flash holds weights: as they are, or for each layer what serves best; no output changes."
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Kill a run that takes longer than this.")
]


def module_of(module: str | None, example: str | None) -> tuple[str, str] | None:
    """The options --module and --example, which go together. Raises DataError."""
    if module is None and example is None:
        return None
    if module is None or example is None:
        missing = "--module" if module is None else "--example"
        remedy = "A state dict needs --module package.module:Class and --example 1,3,32,32"
        raise DataError(missing, "is missing", "", remedy)
    return module, example


def given(*paths: Path | None) -> tuple[Path, ...]:
    """The files that a command reads, which it must not write over."""
    return tuple(path for path in paths if path is not None)


def weight_bits(options: list[str] | None) -> int | dict[str, int]:
    """What --weight-bits says, as quantize/weights.py takes it. Raises DataError for what is no number."""
    found: dict[str, int] = {}
    for text in options or ():
        layer, _, bits = text.rpartition("=")
        if not bits.isascii() or not bits.isdecimal() or len(bits) > 3:
            raise DataError("--weight-bits", f"is {text!r}", "4, or LAYER=4", "Bits are 8, 4 or 2")
        found.pop(layer or "*", None)  # so that it is the last
        found[layer or "*"] = int(bits)
    return found or 8


class _Plain(Console):
    """Escapes all text: that of a table's cell and that of a line come through `render_str`."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(for_terminal(text, lines=True), **options)


def console(stderr: bool = False) -> Console:
    """A console that prints text as it is: names in models may look like markup. Tables get no wider than needed."""
    return _Plain(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)


@contextmanager
def steps() -> Iterator[Say]:
    """Show what is being done, on stderr, while it is done; nothing where stderr is no terminal.

    Where it is known how much there is to do: a bar, how much of it is done, and the time left.
    """
    out = console(stderr=True)
    room = max(20, out.width - 36)  # the other columns
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=room)),
        BarColumn(16),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("", total=None)
        phase = ""

        def say(text: str, done: float = 0, total: float | None = None) -> None:
            nonlocal phase
            begun = text.partition(", epoch")[0]
            if begun != phase:  # the time that is left is reckoned from the pace of this phase alone
                phase = begun
                progress.reset(task, total=total)
            progress.update(task, description=for_terminal(text), completed=done, total=total)

        yield say


def tell_runtimes(graph: Graph, path: Path) -> None:
    """Say it where TFLM or LiteRT would refuse a .tflite that holds `graph`, or give other bytes."""
    from ..files import named
    from ..lower.portable import unlike

    layers = unlike(graph)
    if layers:
        found = f"TFLM or LiteRT lacks or rounds otherwise {len(layers)} of its layers ({named(layers)})"
        console().print(f"{found}: `intaglio export {path} --tflite F` writes a file for them.", soft_wrap=True)


def table(title: str, *columns: tuple[str, str], caption: str = "") -> Table:
    """A table; each column is its heading and "left", "right" (numbers) or "name" (neither is broken into lines)."""
    made = Table(
        title=title or None,
        caption=caption or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for heading, side in columns:
        justify: JustifyMethod = "right" if side == "right" else "left"
        made.add_column(heading, justify=justify, overflow="fold", no_wrap=side != "left")
    return made


def print_table(out: Console, made: Table) -> None:
    """A table and an empty line; of thousands of rows as plain text, for rich takes half a millisecond a row."""
    if made.row_count <= MANY_ROWS:
        out.print(made, "")
        return
    columns = [(c.justify, [for_terminal(str(text)) for text in (c.header, *c.cells)]) for c in made.columns]
    widths = [max(map(cell_len, cells)) for _, cells in columns]
    rows = [
        " ".join(" " * (w - cell_len(cell)) + cell if side == "right" else cell + " " * (w - cell_len(cell))
                 for (side, _), w, cell in zip(columns, widths, row, strict=True)).rstrip()
        for row in zip(*(cells for _, cells in columns), strict=True)
    ]  # fmt: skip
    title = [for_terminal(str(made.title))] if made.title else []
    print("\n".join([*title, rows[0], "-" * (sum(widths) + len(widths) - 1), *rows[1:], ""]), file=out.file)


def quantization(
    calibrate: Path | None,
    method: Method | None,
    keep_float: list[str] | None,
    weights: list[str] | None,
    activations: str,
) -> Quantization | None:
    """The options that say how to quantize, together. Raises DataError for those that need --calibrate."""
    from ..models import Quantization

    wide = activations != "8"
    options = {
        "--method": method, "--keep-float": keep_float, "--weight-bits": weights, "--activation-bits": wide,
    }  # fmt: skip
    if calibrate is not None:
        return Quantization(calibrate, method, tuple(keep_float or ()), weight_bits(weights), bits(activations))
    for option, value in options.items():
        if value:
            raise DataError(option, "is given without --calibrate", "", "Without it nothing is quantized")
    return None


def bits(option: str) -> ActivationWidth:
    """--activation-bits as a number."""
    return 16 if option == "16" else 8


def dims(shape: tuple[int, ...]) -> str:
    """(1, 49, 10, 1) -> 49x10x1: the batch of 1 goes without saying."""
    return "x".join(map(str, shape[1:] if shape[:1] == (1,) and len(shape) > 1 else shape)) or "1"


def json_text(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def print_json(value: Any) -> None:
    sys.stdout.write(json_text(value))
