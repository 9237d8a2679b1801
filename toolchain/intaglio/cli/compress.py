"""`intaglio compress`: a recipe, step by step, with what each step cost and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import common


def compress(
    model: common.Source,
    recipe: Annotated[str, typer.Option("--recipe", metavar="R.toml|NAME", help="A recipe, or one of the package's.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="The folder of the run, which it resumes.")],
    train: Annotated[
        Path | None,
        typer.Option("--train", metavar="X.npz", help="Inputs [n, ...] by name or `x`, and labels `y` [n]."),
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
    from ..recipes.report import fell, summary, table, to_rows
    from ..recipes.run import MODEL, TFLITE
    from ..recipes.run import compress as run

    with common.steps() as show:
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
    shown = table(rows)
    made = common.table(found.graph.name, *((column.title, column.side) for column in shown.columns))
    for row in shown.body:
        made.add_row(*row)
    console = common.console()
    console.print(made)
    console.print(summary(rows), soft_wrap=True)
    if fell(rows):
        console.print(fell(rows), soft_wrap=True)
    console.print(f"{out}: {', '.join(found.files)}", soft_wrap=True)
    if TFLITE in found.files:
        common.tell_runtimes(found.graph, out / MODEL)
