"""Firmware of a bare-metal board in qemu-system-arm; files, console and exit go through semihosting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import tools
from ..boards import QemuSystemRunner
from ..build import Firmware
from ..graph import Array
from . import files
from .base import Options, RunResult

PROGRAM = "qemu-system-arm"


def run(firmware: Firmware, inputs: Sequence[Array], options: Options) -> RunResult:
    """Run in QEMU. Raises ToolError without QEMU, and RunError."""
    runner = firmware.board.runner
    assert isinstance(runner, QemuSystemRunner)
    program = tools.find(PROGRAM)
    cpu = ["-cpu", runner.cpu] if runner.cpu else []

    def command(plugin: Sequence[str]) -> list[str | Path]:
        return [
            program, "-M", runner.machine, *cpu, "-display", "none", "-monitor", "none", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", *plugin, *options.qemu_args, "-kernel", firmware.elf,
        ]  # fmt: skip

    return files.exchange(firmware, inputs, options, command)
