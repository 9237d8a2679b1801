"""Firmware as a program of this computer."""

from __future__ import annotations

from collections.abc import Sequence

from ..build import Firmware
from ..errors import DataError
from ..graph import Array
from . import files
from .base import Options, RunResult


def run(firmware: Firmware, inputs: Sequence[Array], options: Options) -> RunResult:
    """Run natively; instructions are not counted. Raises RunError, and DataError for QEMU arguments."""
    if options.qemu_args:
        raise DataError("QEMU arguments", f"board {firmware.board.name} does not run in QEMU", "none")
    uncounted = Options(options.timeout, False, (), options.done)
    return files.exchange(firmware, inputs, uncounted, lambda _: [firmware.elf])
