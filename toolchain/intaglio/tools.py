"""Finding and running other programs: compilers and emulators."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ToolError

APT = {
    "gcc": "gcc libc6-dev",
    "clang": "clang",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-aarch64": "qemu-user",
}
"""The Debian and Ubuntu packages that bring a program."""

_KEPT = 64 * 1024
"""Bytes of a program's output that are kept, from its end."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended. `code` is its exit status, negative for a signal, None when the time-out killed it."""

    code: int | None
    output: str

    def tail(self, lines: int = 8) -> str:
        """The last lines that are not empty."""
        return "\n".join([line for line in self.output.splitlines() if line.strip()][-lines:])


def find(program: str) -> Path:
    """The full path of a program on PATH. Raises ToolError with the line that installs it."""
    path = shutil.which(program)
    if path is None:
        raise ToolError(program, "not found on PATH", "", f"Install it: {install_line(program)}")
    return Path(path)


def install_line(program: str) -> str:
    """The command (Debian, Ubuntu) that installs a program."""
    return f"sudo apt-get install {APT.get(program, program)}"


def call(
    command: Sequence[str | Path], *, cwd: Path | None = None, timeout: float, stop: threading.Event | None = None
) -> Outcome:
    """Run a program to its end, or kill it and its children after `timeout` seconds or once `stop` is set.

    stdout and stderr come back as one text. Raises ToolError when it cannot be started.
    """
    # A file and not a pipe: a firmware that prints for ever must not fill this process's memory.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(str(command[0]), f"cannot be started ({error.strerror})", "", "Reinstall it") from error
        code: int | None = None
        deadline = time.monotonic() + timeout
        try:
            while code is None and time.monotonic() < deadline and not (stop is not None and stop.is_set()):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(min(0.2, max(0.0, deadline - time.monotonic())))
        finally:
            if code is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _KEPT))
        return Outcome(code, output.read().decode("utf-8", "replace"))


def temporary_space() -> int:
    """Bytes that are free where temporary files go (TMPDIR)."""
    return shutil.disk_usage(tempfile.gettempdir()).free


def gcc_version(program: str) -> int:
    """The major version of a GCC; 0 for one that does not tell. Raises ToolError without it."""
    first = call([find(program), "-dumpversion"], timeout=30).output.split(".")[0].strip()
    return int(first) if first.isdecimal() else 0


def major_version(program: str) -> int:
    """The first number of what `program --version` prints after the word "version" (QEMU). Raises ToolError."""
    outcome = call([find(program), "--version"], timeout=30)
    match = re.search(r"version (\d+)\.", outcome.output)
    if match is None:
        raise ToolError(program, "does not tell its version", "", f"Reinstall it: {install_line(program)}")
    return int(match[1])
