"""What every runner takes and gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..build import Firmware
from ..errors import DataError
from ..graph import DTYPES, Array
from ..manifest import Manifest, Port


@dataclass(frozen=True)
class Options:
    """How to run: see runners.run."""

    timeout: float
    count: bool
    qemu_args: tuple[str, ...]
    done: Callable[[int], None] | None = None
    """Told from time to time how many inferences are done."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """Outputs and measurements; None for what the runner cannot measure."""

    outputs: list[Array]
    """One array an output of the model, [n, *shape]."""
    instructions: list[int] | None = None
    """Instructions of each inference, as QEMU executed them."""
    layers: dict[int, int] | None = None
    """Instructions by index of manifest.layers, for the inference number `layers_of`; a layer without code has none.
    What is missing to that inference's instructions is the call itself and the frame around the layers."""
    seconds: float | None = None
    """Wall-clock time of the fastest inference; host only."""
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


class Runner(Protocol):
    """The one verb of a module of this folder."""

    def run(self, firmware: Firmware, inputs: Sequence[Array], options: Options) -> RunResult:
        """Run `firmware` on inputs that have been checked. Raises ToolError and RunError."""
        ...


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
