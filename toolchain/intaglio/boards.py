"""Boards: a target, a memory map and a way to run firmware. Read from boards/<name>/board.toml.

QEMU machines and the host are just boards. A folder outside the package works as well: `--board ./my-board`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StrictInt, model_validator

from . import assets, targets
from .errors import BoardError
from .targets import DataModel, Target

_ADDRESS_SPACE = 1 << 32
_VECTOR_TABLE_ALIGNMENT = 128


class Memory(DataModel):
    """The memory map of a bare-metal board. Addresses and sizes in bytes."""

    flash_origin: StrictInt = Field(ge=0, lt=_ADDRESS_SPACE)
    """Lowest address of code and constants, where the core finds its vector table; a multiple of 128."""
    flash_bytes: StrictInt = Field(gt=0, le=_ADDRESS_SPACE)
    """Bytes from there that firmware may fill."""
    ram_origin: StrictInt = Field(ge=0, lt=_ADDRESS_SPACE)
    """Lowest address of variables and stack; a multiple of 8."""
    ram_bytes: StrictInt = Field(gt=0, le=_ADDRESS_SPACE)
    """Bytes from there that firmware may use."""
    stack_bytes: StrictInt = Field(default=4096, ge=256)
    """Bytes of RAM reserved for the stack, at the bottom of RAM; a multiple of 8. Default 4096."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for kind, origin, size in (
            ("flash", self.flash_origin, self.flash_bytes),
            ("ram", self.ram_origin, self.ram_bytes),
        ):
            if origin + size > _ADDRESS_SPACE:
                raise ValueError(f"{kind} ends at {origin + size:#x}, beyond the 32-bit address space")
        if self.flash_origin % _VECTOR_TABLE_ALIGNMENT or self.ram_origin % 8 or self.stack_bytes % 8:
            raise ValueError("flash_origin must be a multiple of 128, ram_origin and stack_bytes multiples of 8")
        if (
            self.flash_origin < self.ram_origin + self.ram_bytes
            and self.ram_origin < self.flash_origin + self.flash_bytes
        ):
            flash = f"{self.flash_origin:#x}..{self.flash_origin + self.flash_bytes:#x}"
            ram = f"{self.ram_origin:#x}..{self.ram_origin + self.ram_bytes:#x}"
            raise ValueError(f"flash ({flash}) and RAM ({ram}) overlap")
        if self.stack_bytes >= self.ram_bytes:
            raise ValueError(f"a stack of {self.stack_bytes} bytes leaves nothing of {self.ram_bytes} bytes of RAM")
        return self


class HostRunner(DataModel):
    """Run as a program of this computer."""

    kind: Literal["host"]


class QemuSystemRunner(DataModel):
    """Run in qemu-system-arm, with semihosting."""

    kind: Literal["qemu-system"]
    machine: str = Field(min_length=1)
    """QEMU's -M."""
    cpu: str = ""
    """QEMU's -cpu. Default: the machine's own."""


class QemuUserRunner(DataModel):
    """Run as a Linux program of another architecture, in QEMU's user mode."""

    kind: Literal["qemu-user"]
    program: str = Field(default="qemu-aarch64", min_length=1)
    """QEMU's program for the architecture, on PATH."""
    cpu: str = Field(min_length=1)
    """QEMU's -cpu."""


AnyRunner = Annotated[HostRunner | QemuSystemRunner | QemuUserRunner, Field(discriminator="kind")]


class Board(DataModel):
    """A board: what to compile for, what fits, and how to run it."""

    name: str
    """The folder's name; not a key of the file."""
    title: str = Field(min_length=1)
    """For people."""
    target: str
    """Name of a folder of targets/."""
    memory: Memory | None = None
    """Needed on bare metal, absent elsewhere."""
    runner: AnyRunner

    def load_target(self) -> Target:
        """The target's data. Raises BoardError."""
        return targets.load(self.target)


DEFAULT = "qemu-mps2-an386"
"""Where nobody names one: a Cortex-M4."""


def names() -> list[str]:
    """Names of all boards of the package, sorted."""
    return sorted(path.parent.name for path in (assets.root() / "boards").glob("*/board.toml"))


def load(name_or_folder: str | os.PathLike[str]) -> Board:
    """Read a board of the package by name, or any other by its folder (`./my-board`).

    Raises BoardError for an unknown name, a folder without board.toml, an unknown or missing key, an impossible
    memory map, or a target or runner that does not go with the rest.
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


def _read(folder: Path) -> Board:
    path = folder / "board.toml"
    board = targets.read_toml(path, Board, folder.resolve().name)
    if board.target not in targets.names():
        error = targets.unknown("target", board.target, targets.names())
        raise BoardError(f"{path}: target", f"unknown target {board.target!r}", error.allowed, error.remedy)
    system = board.load_target().system
    if system == "bare-metal" and board.memory is None:
        raise BoardError(
            f"{path}: memory",
            "this key is missing",
            ", ".join(Memory.model_fields),
            f"{board.target} runs on bare metal: say where flash and RAM are",
        )
    if system != "bare-metal" and board.memory is not None:
        raise BoardError(f"{path}: memory", "a memory map", f"none: {board.target} runs under an operating system")
    needed = {"bare-metal": "qemu-system", "linux": "qemu-user", "host": "host"}[system]
    if board.runner.kind != needed:
        raise BoardError(f"{path}: runner.kind", f"{board.runner.kind!r} with target {board.target}", repr(needed))
    return board
