"""Running a firmware that reads and writes files in its current folder (runtime_c/port/app.c)."""

from __future__ import annotations

import signal
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .. import tools
from ..build import Firmware
from ..errors import RunError
from ..graph import DTYPES, Array
from ..manifest import Manifest
from . import count
from .base import Options, RunResult

_STAT = struct.Struct("<IIQ")
_UNKNOWN = 0xFFFFFFFF
_SPARE = 1 << 28
"""Bytes that a file of a run may have beyond the outputs: for what counts instructions, and plugins of the user."""

Command = Callable[[Sequence[str]], list[str | Path]]
"""Makes the command from the arguments that load the counting plugin (none when nothing is counted)."""


def exchange(firmware: Firmware, inputs: Sequence[Array], options: Options, command: Command) -> RunResult:
    """Write the inputs, run the command to its end in a folder of its own, read what came out.

    Raises RunError for a time-out, a non-zero exit and a short output; ToolError when the plugin cannot be built.
    """
    n = len(inputs[0])
    deadline = time.monotonic() + options.timeout
    with tempfile.TemporaryDirectory(prefix="intaglio-run-") as name:
        work = Path(name)
        parts = [array.reshape(n, -1).view(np.uint8) for array in inputs]
        (work / "itg_in.bin").write_bytes(np.concatenate(parts, axis=1).tobytes())
        plugin = count.arguments(firmware, work / "itg_count.txt", options.timeout) if options.count else []
        left = deadline - time.monotonic()
        room = n * firmware.manifest.output_bytes + _SPARE
        watch = _watch(work / "itg_out.bin", firmware.manifest.output_bytes, options)
        outcome = tools.call(command(plugin), cwd=work, timeout=left, file_bytes=room, watch=watch)
        _check(firmware, options, outcome, room)
        outputs = _outputs(firmware, work / "itg_out.bin", n, outcome)
        arena, stack, nanoseconds = _stat(firmware, work / "itg_stat.bin", outcome)
        counted = count.read(firmware, work / "itg_count.txt", n) if options.count else (None, None)
    return RunResult(
        outputs=outputs,
        instructions=counted[0],
        layers=counted[1],
        seconds=nanoseconds / 1e9 if nanoseconds and firmware.board.runner.kind == "host" else None,
        stack_bytes=None if stack == _UNKNOWN else stack,
        arena_high_water=arena,
        console=outcome.output,
    )


def _watch(out: Path, output_bytes: int, options: Options) -> Callable[[], None] | None:
    """What tells `options.done` how many outputs have been written."""
    done = options.done
    if done is None:
        return None
    return lambda: done(out.stat().st_size // output_bytes if out.exists() else 0)


def _check(firmware: Firmware, options: Options, outcome: tools.Outcome, room: int) -> None:
    if outcome.code == 0:
        return
    if outcome.code == -signal.SIGXFSZ:
        raise _failed(firmware, f"wrote a file of more than {room:,} bytes, so it was killed", outcome)
    if outcome.code is None:
        found = f"still running after {options.timeout:g} seconds, so it was killed"
        remedy = "Give it more time (timeout), or fewer inputs, if it is not hanging"
    else:
        ended = f"ended by signal {-outcome.code}" if outcome.code < 0 else f"ended with exit status {outcome.code}"
        found, remedy = ended, ""
    raise _failed(firmware, found, outcome, remedy)


def _failed(firmware: Firmware, found: str, outcome: tools.Outcome, remedy: str = "") -> RunError:
    # QEMU says in one line why it gave up, and then fills the screen with registers.
    fatal = [line for line in outcome.output.splitlines() if "fatal:" in line]
    console = "".join(f"\n  {line}" for line in fatal or outcome.tail().splitlines())
    if fatal and "Lockup" in fatal[0]:
        remedy = remedy or "The machine may have no memory where board.toml says: check its memory map"
    told = f"{found}; its last words:{console}" if console else found
    return RunError(f"{firmware.manifest.model} on {firmware.board.name}", told, "", remedy)


def _outputs(firmware: Firmware, path: Path, n: int, outcome: tools.Outcome) -> list[Array]:
    manifest: Manifest = firmware.manifest
    size = path.stat().st_size if path.is_file() else 0
    if size != n * manifest.output_bytes:
        raise _failed(firmware, f"wrote {size} bytes of {n * manifest.output_bytes}", outcome)
    rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(n, manifest.output_bytes)
    arrays: list[Array] = []
    start = 0
    for port in manifest.outputs:
        part = np.ascontiguousarray(rows[:, start : start + port.nbytes])
        arrays.append(part.view(DTYPES[port.dtype]).reshape(n, *port.shape))
        start += port.nbytes
    return arrays


def _stat(firmware: Firmware, path: Path, outcome: tools.Outcome) -> tuple[int, int, int]:
    data = path.read_bytes() if path.is_file() else b""
    if len(data) != _STAT.size:
        raise _failed(firmware, "ended before its last file was written", outcome)
    arena, stack, nanoseconds = _STAT.unpack(data)
    return arena, stack, nanoseconds
