"""Linux firmware of another architecture in QEMU's user mode."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from .. import tools
from ..boards import Measure
from ..build import Firmware
from . import process
from .base import Options, Runner, Session


class QemuUserRunner(Runner):
    """Run as a Linux program of another architecture, in QEMU's user mode."""

    systems: ClassVar = ("linux",)
    measures: ClassVar[frozenset[Measure]] = frozenset({"instructions", "arena", "stack"})
    transport: ClassVar = "pipes.c"
    takes_qemu_args: ClassVar = True
    kind: Literal["qemu-user"]
    program: str = Field(default="qemu-aarch64", min_length=1)
    """QEMU's program for the architecture, on PATH."""
    cpu: str = Field(min_length=1)
    """QEMU's -cpu."""

    def programs(self) -> tuple[str, ...]:
        """QEMU."""
        return (self.program,)

    def open(self, firmware: Firmware, options: Options) -> Session:
        """Start it. Raises ToolError without QEMU."""
        program = tools.find(self.program)
        return process.session(
            firmware,
            options,
            lambda plugin: [program, "-cpu", self.cpu, *plugin, *options.qemu_args, firmware.elf],
            self.program,
        )
