"""Running firmware: a board's [runner] table is a class of one of the modules here, which are found by looking."""

from __future__ import annotations

from collections.abc import Sequence

from ..build import Firmware
from ..errors import DataError
from ..graph import Array
from .base import Done, Figures, Options, Runner, RunResult, Session, checked_inputs

__all__ = ["Figures", "Options", "RunResult", "Runner", "Session", "open", "run"]


def open(firmware: Firmware, *, timeout: float = 600.0, count: bool = False, qemu_args: Sequence[str] = ()) -> Session:
    """Start a firmware on its board: `with runners.open(firmware) as session: outputs = session.run(inputs)`.

    Args:
        timeout: seconds for starting it, and for each `run` that does not say otherwise; then it is killed.
        count: count instructions, in total and by layer, where the runner can (emulators).
        qemu_args: further arguments for QEMU, for a plugin of your own. Paths among them must be absolute.

    Raises ToolError when a program is missing, RunError when it does not start, DataError for `qemu_args` without QEMU.
    """
    runner = firmware.board.runner
    assert isinstance(runner, Runner)
    if qemu_args and not runner.takes_qemu_args:
        raise DataError("QEMU arguments", f"board {firmware.board.name} does not run in QEMU", "none")
    return runner.open(firmware, Options(timeout, count and "instructions" in runner.measures, tuple(qemu_args)))


def run(
    firmware: Firmware,
    inputs: Sequence[Array],
    *,
    timeout: float = 600.0,
    count: bool = False,
    qemu_args: Sequence[str] = (),
    done: Done | None = None,
) -> RunResult:
    """A session of one run: outputs and figures of one inference for each of n inputs.

    Args:
        inputs: one array an input of the model, [n, ...] and of its dtype; the batch axis of 1 may be there or not.
        done: told from time to time how many inferences are done.
        timeout, count, qemu_args: see `open`.

    Raises as `open` and Session.run do.
    """
    checked = checked_inputs(firmware.manifest, inputs)
    with open(firmware, timeout=timeout, count=count, qemu_args=qemu_args) as session:
        outputs = session.run(checked, done=done)
    return RunResult(outputs=outputs, **vars(session.figures()))  # with what was printed at the end
