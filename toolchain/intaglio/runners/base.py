"""What every runner is, takes and gives back."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from ..boards import RunnerTable
from ..build import Firmware
from ..errors import DataError
from ..graph import DTYPES, Array
from ..manifest import Manifest, Port


@dataclass(frozen=True)
class Options:
    """How to run: see runners.open."""

    timeout: float
    count: bool
    qemu_args: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Figures:
    """What was measured; None for what the runner cannot measure."""

    instructions: list[int] | None = None
    """Instructions of each inference, as QEMU executed them."""
    layers: dict[int, int] | None = None
    """Instructions by index of manifest.layers, for the inference number `layers_of`; a layer without code has none.
    What is missing to that inference's instructions is the call itself and the frame around the layers."""
    seconds: float | None = None
    """Wall-clock time of the fastest inference."""
    stack_bytes: int | None = None
    """Stack that <model>_run and everything below it uses, from the painted stack, for the first input."""
    arena_high_water: int | None = None
    """Bytes of the arena up to the last that was written to, from the painted arena, for the first input."""
    console: str = ""
    """What the firmware, QEMU and plugins of the user printed."""

    @property
    def layers_of(self) -> int:
        """The inference that stands for all: the second, which has nothing left to warm up, or the only one."""
        return min(1, len(self.instructions) - 1) if self.instructions else 0


@dataclass(frozen=True, eq=False, kw_only=True)
class RunResult(Figures):
    """Outputs and measurements."""

    outputs: list[Array]
    """One array an output of the model, [n, *shape]."""


Done = Callable[[int], None]
"""Told from time to time how many inferences are done."""


class Session(Protocol):
    """A firmware that is ready for any number of inferences, until the block that opened it ends.

    How it is reached is the runner's: a process of this computer, an emulator, a board on a serial line.
    """

    def run(self, inputs: Sequence[Array], *, timeout: float | None = None, done: Done | None = None) -> list[Array]:
        """One inference for each of n inputs, [n, ...] -> one array an output, [n, *shape].

        State starts from reset at each call and carries over from one input to the next. Raises DataError for inputs
        that do not match the model, and RunError when the firmware crashes, hangs or answers something else.
        """
        ...

    def figures(self) -> Figures:
        """What was measured of all inferences up to now; also after the end.

        Raises RunError for a counter that lost some.
        """
        ...

    def close(self) -> None:
        """Let the firmware end. Raises RunError when it ends badly."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Runner(RunnerTable, abc.ABC):
    """A way to run firmware: its [runner] table, and the verb. A class of it in a module of this folder adds one."""

    @abc.abstractmethod
    def open(self, firmware: Firmware, options: Options) -> Session:
        """Start `firmware`, whose board has this table. Raises ToolError and RunError."""


def checked_inputs(manifest: Manifest, inputs: Sequence[Array]) -> list[Array]:
    """The inputs as [n, *shape] arrays, n the same for all. Raises DataError for a wrong number, shape or dtype."""
    if len(inputs) != len(manifest.inputs):
        raise DataError(f"inputs of {manifest.model}", f"{len(inputs)} arrays", f"{len(manifest.inputs)}")
    arrays = [_checked(port, np.asarray(array)) for port, array in zip(manifest.inputs, inputs, strict=True)]
    counts = [len(array) for array in arrays]
    if len(set(counts)) > 1 or counts[0] == 0:
        raise DataError(f"inputs of {manifest.model}", f"{counts} samples", "the same number for each, at least one")
    return arrays


def _checked(port: Port, array: Array) -> Array:
    shapes = [port.shape] + ([port.shape[1:]] if port.shape[:1] == (1,) and len(port.shape) > 1 else [])
    if array.dtype != DTYPES[port.dtype]:
        raise DataError(f"input {port.name}", f"dtype {array.dtype}", port.dtype)
    if array.shape[1:] not in shapes:
        allowed = " or ".join("[n, " + ", ".join(map(str, shape)) + "]" for shape in shapes)
        raise DataError(f"input {port.name}", f"shape {list(array.shape)}", allowed)
    return np.ascontiguousarray(array).reshape(len(array), *port.shape)
