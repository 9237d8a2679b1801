"""Linux firmware of another architecture in QEMU's user mode."""

from __future__ import annotations

from collections.abc import Sequence

from .. import tools
from ..boards import QemuUserRunner
from ..build import Firmware
from ..graph import Array
from . import files
from .base import Options, RunResult


def run(firmware: Firmware, inputs: Sequence[Array], options: Options) -> RunResult:
    """Run in QEMU. Raises ToolError without QEMU, and RunError."""
    runner = firmware.board.runner
    assert isinstance(runner, QemuUserRunner)
    program = tools.find(runner.program)
    return files.exchange(
        firmware,
        inputs,
        options,
        lambda plugin: [program, "-cpu", runner.cpu, *plugin, *options.qemu_args, firmware.elf],
    )
