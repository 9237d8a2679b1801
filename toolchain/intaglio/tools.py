"""Finding and running other programs: compilers and emulators."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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

KEPT = 64 * 1024
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


def identity(program: str) -> str:
    """What tells one version of a program from another without starting it; "" where it is missing."""
    path = shutil.which(program)
    if path is None:
        return ""
    at = os.path.realpath(path)
    return f"{at} {os.stat(at).st_size} {os.stat(at).st_mtime_ns}"


def start(
    command: Sequence[str | Path], *, cwd: Path | None = None, file_bytes: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a program whose stdout and stderr come as one pipe, in a session of its own: see `end`.

    A file that it writes may have `file_bytes` (None: any number): beyond that it ends by signal.SIGXFSZ. Raises
    ToolError when it cannot be started.
    """
    try:
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
            preexec_fn=None if file_bytes is None else partial(_limit_files, file_bytes),
        )
    except OSError as error:
        raise ToolError(str(command[0]), f"cannot be started ({error.strerror})", "", "Reinstall it") from error


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and its children; those that outlived it hold its output open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def call(
    command: Sequence[str | Path], *, cwd: Path | None = None, timeout: float, stop: threading.Event | None = None
) -> Outcome:
    """Run a program to its end, or kill it and its children after `timeout` seconds or once `stop` is set.

    stdout and stderr come back as one text, its end. Raises ToolError when it cannot be started.
    """
    process = start(command, cwd=cwd)
    assert process.stdout is not None
    kept = bytearray()
    reader = threading.Thread(target=_drain, args=(process.stdout.fileno(), kept), daemon=True)
    code: int | None = None
    deadline = time.monotonic() + timeout
    try:
        reader.start()
        while code is None and time.monotonic() < deadline and not (stop is not None and stop.is_set()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(min(0.2, max(0.0, deadline - time.monotonic())))
        if code is not None:
            reader.join(1.0)
    finally:
        if code is None or reader.is_alive():
            end(process)
        reader.join(1.0)
        if not reader.is_alive():
            process.stdout.close()
    return Outcome(code, text_of(kept))


def text_of(output: bytes | bytearray) -> str:
    """The end of what a program printed."""
    return bytes(output[-KEPT:]).decode("utf-8", "replace")


def temporary_space() -> int:
    """Bytes that are free where temporary files go (TMPDIR)."""
    return shutil.disk_usage(tempfile.gettempdir()).free


def gcc_version(program: str) -> int:
    """The major version of a GCC; 0 for one that does not tell. Raises ToolError without it."""
    first = call([find(program), "-dumpversion"], timeout=30).output.split(".")[0].strip()
    return int(first) if first.isdecimal() else 0


def _limit_files(most: int) -> None:
    """In the new process, before the program: no file grows beyond `most` bytes."""
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def _drain(pipe: int, kept: bytearray) -> None:
    """Read to the end and keep the last bytes: a firmware that prints for ever fills neither memory nor disk."""
    while part := os.read(pipe, KEPT):
        kept += part
        del kept[:-KEPT]


def major_version(program: str, timeout: float = 30.0) -> int:
    """The first number of what `program --version` prints after the word "version" (QEMU). Raises ToolError."""
    outcome = call([find(program), "--version"], timeout=min(timeout, 30.0))
    match = re.search(r"version (\d+)\.", outcome.output)
    if match is None:
        found = "does not tell its version" + (" before the time is up" if outcome.code is None else "")
        raise ToolError(program, found, "", f"Reinstall it: {install_line(program)}")
    return int(match[1])
