"""Typed errors. Bad input is never a traceback: the command line prints one of these as a paragraph and exits non-zero.

Every error says where (file, node or key), what was found, what is allowed and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence

from .escape import for_terminal


class IntaglioError(Exception):
    """Base of every error that intaglio raises on purpose.

    Args:
        where: the file, node, tensor or key concerned.
        found: what was found there.
        allowed: what would have been accepted (may be empty).
        remedy: what the user can do (may be empty).
    """

    def __init__(self, where: str, found: str, allowed: str = "", remedy: str = "") -> None:
        where = for_terminal(where)  # a line end in a file's name would look like another error
        self.where, self.found, self.allowed, self.remedy = where, found, allowed, remedy
        parts = [f"{where}: {found}" if where else found]
        if allowed:
            parts.append(f"Allowed: {allowed}")
        if remedy:
            parts.append(remedy)
        text = ". ".join(p.rstrip(". ") for p in parts)
        super().__init__(text if text.endswith(("?", "!")) else text + ".")


class ModelError(IntaglioError):
    """The model file is damaged, inconsistent, or not a model."""


class UnsupportedError(IntaglioError):
    """The model is well formed but asks for something intaglio does not do; lists every such thing at once."""

    def __init__(self, where: str, problems: Sequence[str], remedy: str = "") -> None:
        self.problems = tuple(problems)
        listing = "".join(f"\n  - {p}" for p in problems)
        noun = "thing" if len(problems) == 1 else "things"
        super().__init__(where, f"{len(problems)} unsupported {noun}:{listing}", "", remedy)
        if not remedy:
            self.args = (f"{where}: {self.found}",)


class GraphError(IntaglioError):
    """A Graph breaks one of the rules of the stage it is in (see graph.verify)."""


class DataError(IntaglioError):
    """Inputs, labels or calibration data of the wrong shape or dtype, not finite, or unreadable."""


class BoardError(IntaglioError):
    """A board or target file has an unknown key, a missing one, or an impossible value."""


class FitError(IntaglioError):
    """The firmware needs more memory than the board has."""


class ToolError(IntaglioError):
    """A compiler, an emulator or a Python package is missing; the message says how to get it."""


class BuildError(IntaglioError):
    """The cross compiler or the linker refused the generated code."""


class RunError(IntaglioError):
    """The firmware did not finish: it crashed, hung past its time-out or wrote too little."""


class OutputError(IntaglioError):
    """An output file or folder exists already or cannot be written."""


class TrainingError(IntaglioError):
    """Training cannot go on: the loss is not finite, or a checkpoint belongs to another run."""


class RecipeError(IntaglioError):
    """A recipe has an unknown step or key, an impossible value, or steps in an order that cannot be."""
