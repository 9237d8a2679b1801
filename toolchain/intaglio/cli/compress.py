"""`intaglio compress`: a recipe, step by step, with what each step cost and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from . import common

if TYPE_CHECKING:
    from ..compress.steps.base import Show


def compress(
    model: common.Source,
    recipe: Annotated[str, typer.Option("--recipe", metavar="R.toml|NAME", help="A recipe, or one of the package's.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="The folder of the run, which it resumes.")],
    train: Annotated[
        Path | None, typer.Option("--train", metavar="X.npz", help=r"Inputs \[n, ...] by name or `x`, labels `y` \[n].")
    ] = None,
    test: Annotated[Path | None, typer.Option("--test", metavar="Y.npz", help="The same, to judge by.")] = None,
    board: Annotated[
        str | None,
        typer.Option("--board", metavar="BOARD", help="What it is for; an emulated Cortex-M4 if it is left out."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start again, even if OUT is of another recipe, model, board or data.")
    ] = False,
    module: common.Module = None,
    example: common.Example = None,
) -> None:
    """Compress a model step by step as a recipe says, and report accuracy and size after each step.

    Interrupted at any moment, the same command goes on where it was.
    """
    from .. import boards
    from ..compress.recipe_report import cells, summary, to_rows
    from ..compress.recipe_run import MODEL, TFLITE
    from ..compress.recipe_run import compress as run

    with _progress() as show:
        found = run(
            model,
            recipe,
            train,
            test,
            out,
            board=board or boards.DEFAULT,
            restart=restart,
            module=common.module_of(module, example),
            show=show,
        )
    rows = to_rows(found.steps)
    headings, body = cells(rows)
    sides = ["right", "name", *["right"] * (len(headings) - 2)]
    table = common.table(found.graph.name, *zip(headings, sides, strict=True))
    for row in body:
        table.add_row(*row)
    console = common.console()
    console.print(table)
    console.print(summary(rows), soft_wrap=True)
    console.print(f"{out}: {', '.join(found.files)}", soft_wrap=True)
    if TFLITE in found.files:
        common.tell_runtimes(found.graph, out / MODEL)


@contextmanager
def _progress() -> Iterator[Show]:
    """What is being done, with loss, accuracy and remaining time of a training; nothing where stderr is no terminal."""
    out = common.console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(16), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("", total=None)
        phase = ""

        def show(text: str, done: float = 0.0, total: float | None = None) -> None:
            nonlocal phase
            begun = text.partition(", epoch")[0]
            if begun != phase:
                phase = begun
                progress.reset(task, total=total)
            progress.update(task, description=text, completed=done, total=total)

        yield show
