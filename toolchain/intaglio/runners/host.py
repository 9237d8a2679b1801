"""Firmware as a program of this computer."""

from __future__ import annotations

from typing import ClassVar, Literal

from ..boards import Measure
from ..build import Firmware
from . import process
from .base import Options, Runner, Session


class HostRunner(Runner):
    """Run as a program of this computer; instructions are not counted."""

    systems: ClassVar = ("host",)
    measures: ClassVar[frozenset[Measure]] = frozenset({"seconds", "arena", "stack"})
    transport: ClassVar = "pipes.c"
    kind: Literal["host"]

    def open(self, firmware: Firmware, options: Options) -> Session:
        """Start it."""
        return process.session(firmware, options, lambda _: [firmware.elf])
