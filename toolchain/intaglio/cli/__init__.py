"""The command line: `intaglio VERB`. One file a verb; this one puts them together and prints errors.

Every error that is raised on purpose is one paragraph of plain text on stderr and exit status 1; wrong usage is 2;
Ctrl-C is quiet and 130. Verbs import what they need when they run, so that --help is quick.
"""

from __future__ import annotations

import errno
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import IntaglioError
from ..escape import for_terminal
from .compile import compile_
from .compress import compress
from .doctor import doctor
from .evaluate import evaluate
from .export import export
from .inspect import inspect
from .lists import boards, ops, targets
from .profile import profile
from .quantize import quantize
from .run import run

ERROR, INTERRUPTED = 1, 130


class _Group(TyperGroup):
    """Turns intaglio's errors into a paragraph and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except IntaglioError as error:
            _paragraph(str(error))
            raise typer.Exit(ERROR) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(INTERRUPTED) from error


def _paragraph(text: str) -> None:
    """On stderr, without empty lines; what the terminal's encoding lacks is escaped."""
    lines = [line.rstrip() for line in for_terminal(f"error: {text}", lines=True).split("\n") if line.strip()]
    print("\n".join(lines), file=sys.stderr)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import version

        print(f"intaglio {version()}")
        raise typer.Exit


app = typer.Typer(
    name="intaglio",
    cls=_Group,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes of rich cut options at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Engraves neural networks into firmware: compiles models to C for one board, runs and measures them."""


app.command(short_help="What a model is made of, and what is unsupported and why.")(inspect)
app.command("compile", short_help="A model as plain C for a board, and its firmware.")(compile_)
app.command(short_help="A float model in integers, and what each layer loses.")(quantize)
app.command(short_help="Smaller step by step, as a recipe says, with a report.")(compress)
app.command(short_help="Inferences on a board.")(run)
app.command(short_help="Top-1 accuracy of a classifier, as floats and on a board.")(evaluate)
app.command(short_help="Instructions by layer, memory, and whether bytes are equal.")(profile)
app.command(short_help="A model as a .tflite that TFLM and LiteRT run.")(export)
app.command(short_help="The boards that models can be compiled for.")(boards)
app.command(short_help="The processor cores, and how code is compiled for them.")(targets)
app.command(short_help="The operators, and what they are called in TFLite.")(ops)
app.command(short_help="What is missing, and the line that installs it.")(doctor)


def main() -> None:
    """The `intaglio` program."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except MemoryError:
        _paragraph("the model or the data asks for more memory than this computer has")
        sys.exit(ERROR)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EPIPE, errno.EIO):
            _paragraph(f"standard output, or a temporary file (TMPDIR says where), cannot be written: {error.strerror}")
            sys.stdout = None  # what is left in its buffer cannot be written either
            sys.exit(ERROR)
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{at.filename.rsplit('/', 1)[-1]}:{at.lineno}"
        _paragraph(
            f"{type(error).__name__} at {place}: {error}. This is a mistake in intaglio, not in what you gave it: "
            "please report it. PYTHONDEVMODE=1 shows the traceback."
        )
        sys.exit(ERROR)
