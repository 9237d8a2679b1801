"""Boards: a target, a memory map and a way to run firmware. Read from boards/<name>/board.toml.

QEMU machines and the host are just boards. A folder outside the package works as well: `--board ./my-board`.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, get_args

from pydantic import Field, ValidationError

from . import assets, targets
from .errors import BoardError
from .regions import FlashAndRam, Memory
from .targets import DataModel, Target

Measure = Literal["instructions", "seconds", "arena", "stack"]
"""What a runner can tell of inferences; `arena` and `stack`: painted memory."""


class RunnerTable(DataModel):
    """The [runner] table of a board. Each kind is a class in a module of runners/, found by looking in the folder."""

    systems: ClassVar[tuple[str, ...]] = ()
    """The target systems (targets.Target.system) whose firmware it runs."""
    measures: ClassVar[frozenset[Measure]] = frozenset()
    transport: ClassVar[str] = ""
    """The C file through which firmware is talked to: a name in runtime_c/transport, or a path."""
    takes_qemu_args: ClassVar[bool] = False
    kind: str
    """What the table's `kind` has to be: a Literal of one word."""

    def programs(self) -> tuple[str, ...]:
        """What it needs on PATH."""
        return ()


class Board(DataModel):
    """A board: what to compile for, what fits, and how to run it."""

    name: str
    """The folder's name; not a key of the file."""
    folder: Path
    """Where board.toml lies; not a key of the file."""
    title: str = Field(min_length=1)
    """For people."""
    target: str
    """Name of a folder of targets/."""
    memory: Memory | None = None
    """Needed on bare metal, absent elsewhere."""
    runner: RunnerTable

    def load_target(self) -> Target:
        """The target's data. Raises BoardError."""
        return targets.load(self.target)

    def sources(self) -> tuple[Path, ...]:
        """The board's own C, which becomes part of firmware: board.c, if it is there (see itg_board_init in
        runtime_c/app/itg_port.h)."""
        source = self.folder / "board.c"
        return (source,) if source.is_file() else ()

    def files(self) -> tuple[Path, ...]:
        """board.c and the headers beside it, sorted."""
        return (*self.sources(), *sorted(self.folder.glob("*.h"))) if self.sources() else ()


DEFAULT = "qemu-mps2-an386"
"""Where nobody names one: a Cortex-M4."""


def names() -> list[str]:
    """Names of all boards of the package, sorted."""
    return sorted(path.parent.name for path in (assets.root() / "boards").glob("*/board.toml"))


def load(name_or_folder: str | os.PathLike[str]) -> Board:
    """Read a board of the package by name, or any other by its folder (`./my-board`).

    Raises BoardError for an unknown name, a folder without board.toml, an unknown or missing key, an impossible
    memory map, an unknown kind of runner, or a target or runner that does not go with the rest.
    """
    text = os.fspath(name_or_folder)
    if text in names():
        return _read(assets.root() / "boards" / text)
    folder = Path(text)
    if (folder / "board.toml").is_file():
        if folder.resolve().name in names():
            found = f"has the name of a board of the package, {folder.resolve().name}"
            raise BoardError(text, found, "a name of its own", "Rename the folder")
        return _read(folder)
    if folder.is_dir() or folder.name != text:
        raise BoardError(text, "holds no board.toml", "a folder with a board.toml, or one of " + ", ".join(names()))
    raise targets.unknown("board", text, names())


@cache
def _runner_tables(modules: tuple[str, ...]) -> dict[str, type[RunnerTable]]:
    found: dict[str, type[RunnerTable]] = {}
    for name in modules:
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, RunnerTable):
                found.update(dict.fromkeys(get_args(value.model_fields["kind"].annotation), value))
    return dict(sorted(found.items()))


def runner_tables() -> dict[str, type[RunnerTable]]:
    """The class of every kind of runner, from the modules that lie in runners/."""
    package = importlib.import_module(f"{__package__}.runners")
    return _runner_tables(tuple(f"{package.__name__}.{m.name}" for m in pkgutil.iter_modules(package.__path__)))


def _read(folder: Path) -> Board:
    path = folder / "board.toml"
    folder = folder.resolve()
    data = targets.toml(path, BoardError)
    if "memory" in data:
        data["memory"] = _memory(path, data["memory"])
    if "runner" in data:
        data["runner"] = _runner(path, data["runner"])
    board = targets.validated(path, Board, data, given={"name": folder.name, "folder": folder})
    if board.target not in targets.names():
        error = targets.unknown("target", board.target, targets.names())
        raise BoardError(f"{path}: target", f"unknown target {board.target!r}", error.allowed, error.remedy)
    system = board.load_target().system
    if system == "bare-metal" and board.memory is None:
        raise BoardError(
            f"{path}: memory",
            "this key is missing",
            ", ".join(FlashAndRam.model_fields),
            f"{board.target} runs on bare metal: say where flash and RAM are",
        )
    if system != "bare-metal" and board.memory is not None:
        raise BoardError(f"{path}: memory", "a memory map", f"none: {board.target} runs under an operating system")
    if system not in board.runner.systems:
        fitting = ", ".join(repr(kind) for kind, table in runner_tables().items() if system in table.systems)
        raise BoardError(f"{path}: runner.kind", f"{board.runner.kind!r} with target {board.target}", fitting)
    return board


def _memory(path: Path, table: object) -> Memory:
    if isinstance(table, dict) and "regions" in table:
        return targets.validated(path, Memory, table, ("memory",))
    short = targets.validated(path, FlashAndRam, table, ("memory",))
    try:
        return short.memory()
    except ValidationError as error:
        raise targets.impossible(path, ("memory",), error) from error


def _runner(path: Path, table: object) -> RunnerTable:
    known = runner_tables()
    kind = table.get("kind") if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise BoardError(f"{path}: runner", f"found {table!r}", "a table with the key `kind`")
    if kind is None:
        raise BoardError(f"{path}: runner.kind", "this key is missing", ", ".join(known))
    if not isinstance(kind, str) or kind not in known:
        near = difflib.get_close_matches(str(kind), known, 1, 0.4)
        hint = f"Did you mean {near[0]}?" if near else ""
        raise BoardError(f"{path}: runner.kind", f"unknown runner {kind!r}", ", ".join(known), hint)
    return targets.validated(path, known[kind], table, ("runner",))
