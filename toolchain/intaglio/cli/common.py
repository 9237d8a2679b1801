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
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from ..package import Say

STDOUT = Path("-")


Source = Annotated[Path, typer.Argument(metavar="DIR|MODEL", help="A compiled folder, or a .tflite or .onnx file.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A .tflite or .onnx file.")]
BoardName = Annotated[
    str | None,
    typer.Option("--board", metavar="BOARD", help="A name from `intaglio boards`, or a folder with a board.toml."),
]
Calibrate = Annotated[
    Path | None,
    typer.Option("--calibrate", metavar="X.npz", help="Quantize a float model, with ranges from these inputs."),
]
CalibrationMethod = Annotated[
    Literal["minmax", "percentile", "mse", "entropy"], typer.Option("--method", help="How --calibrate chooses ranges.")
]
KeepFloat = Annotated[
    list[str] | None,
    typer.Option("--keep-float", metavar="LAYER", help="A layer, or a pattern, that --calibrate leaves in float32."),
]
Lossless = Annotated[
    bool, typer.Option("--lossless", help="Remove constant, repeated and unread channels; every output byte stays.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Kill a run that takes longer than this.")
]


def console(stderr: bool = False) -> Console:
    """A console that prints text as it is: names in models may look like markup. Tables get no wider than needed."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)


@contextmanager
def steps() -> Iterator[Say]:
    """Show what is being done, on stderr, while it is done; nothing where stderr is no terminal."""
    out = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def say(text: str, done: int = 0, total: int | None = None) -> None:
            progress.update(task, description=text, completed=done, total=total)

        yield say


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


def dims(shape: tuple[int, ...]) -> str:
    """(1, 49, 10, 1) -> 49x10x1: the batch of 1 goes without saying."""
    return "x".join(map(str, shape[1:] if shape[:1] == (1,) and len(shape) > 1 else shape)) or "1"


def json_text(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def print_json(value: Any) -> None:
    sys.stdout.write(json_text(value))
