"""Running firmware: a board's runner.kind names the module here that does it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import cast

from ..build import Firmware
from ..graph import Array
from .base import Options, Runner, RunResult, checked_inputs

__all__ = ["Options", "RunResult", "Runner", "run"]


def run(
    firmware: Firmware,
    inputs: Sequence[Array],
    *,
    timeout: float = 600.0,
    count: bool = False,
    qemu_args: Sequence[str] = (),
    done: Callable[[int], None] | None = None,
) -> RunResult:
    """Run a firmware on its board, once for each of n inputs.

    Args:
        inputs: one array an input of the model, [n, ...] and of its dtype; the batch axis of 1 may be there or not.
        timeout: seconds for the whole run, then it is killed.
        count: count instructions, in total and by layer, where the runner can (emulators).
        qemu_args: further arguments for QEMU, for a plugin of your own. Paths among them must be absolute.
        done: told from time to time how many inferences are done.

    State starts from reset and carries over from one input to the next.
    Raises DataError for inputs that do not match the model, ToolError when a program is missing, and RunError when
    the firmware crashes, hangs or writes too little.
    """
    kind = firmware.board.runner.kind
    module = importlib.import_module(f"{__name__}.{kind.replace('-', '_')}")
    options = Options(timeout, count, tuple(qemu_args), done)
    return cast(Runner, module).run(firmware, checked_inputs(firmware.manifest, inputs), options)
