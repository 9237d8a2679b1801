"""Firmware of a bare-metal board in qemu-system-arm; requests, console and exit go through semihosting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from .. import tools
from ..boards import Measure
from ..build import Firmware
from . import process
from .base import Options, Runner, Session

PROGRAM = "qemu-system-arm"


class QemuSystemRunner(Runner):
    """Run in qemu-system-arm, with semihosting."""

    systems: ClassVar = ("bare-metal",)
    measures: ClassVar[frozenset[Measure]] = frozenset({"instructions", "arena", "stack"})
    transport: ClassVar = "semihosting.c"
    takes_qemu_args: ClassVar = True
    kind: Literal["qemu-system"]
    machine: str = Field(min_length=1)
    """QEMU's -M."""
    cpu: str = ""
    """QEMU's -cpu. Default: the machine's own."""

    def programs(self) -> tuple[str, ...]:
        """QEMU."""
        return (PROGRAM,)

    def open(self, firmware: Firmware, options: Options) -> Session:
        """Start it. Raises ToolError without QEMU."""
        program = tools.find(PROGRAM)
        cpu = ["-cpu", self.cpu] if self.cpu else []

        def command(plugin: Sequence[str]) -> list[str | Path]:
            return [
                program, "-M", self.machine, *cpu, "-display", "none", "-monitor", "none", "-serial", "none",
                "-semihosting-config", "enable=on,target=native", *plugin, *options.qemu_args, "-kernel", firmware.elf,
            ]  # fmt: skip

        return process.session(firmware, options, command, PROGRAM)
