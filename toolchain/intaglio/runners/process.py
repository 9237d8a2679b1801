"""A link to firmware that runs as a process here: two named pipes in a folder of its own.

runtime_c/transport/pipes.c and semihosting.c open them as files, so that emulators need nothing but semihosting.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import tools
from ..build import Firmware
from . import count
from .base import Options, Session
from .session import LinkError, LinkSession

_SPARE = 1 << 28
"""Bytes that a file of a run may have: for what counts instructions, and plugins of the user."""
_PORTION = 1 << 16

Command = Callable[[Sequence[str]], Sequence[str | Path]]
"""Makes the command from the arguments that load the counting plugin (none when nothing is counted)."""


def session(firmware: Firmware, options: Options, command: Command, qemu: str = "") -> Session:
    """Start a firmware. `qemu`: the emulator's program, where instructions can be counted.

    Raises ToolError for a missing program or a plugin that cannot be built.
    """
    folder = tempfile.TemporaryDirectory(prefix="intaglio-run-")
    try:
        out = Path(folder.name) / "itg_count.txt"
        plugin = count.arguments(firmware, qemu, out, options.timeout) if options.count else []
        link = PipeLink(command(plugin), folder, options.timeout)
    except BaseException:
        folder.cleanup()
        raise
    return LinkSession(firmware, link, options, (lambda n: count.read(firmware, out, n)) if options.count else None)


class PipeLink:
    """A process, its two pipes and its console."""

    def __init__(self, command: Sequence[str | Path], folder: tempfile.TemporaryDirectory[str], timeout: float) -> None:
        """Takes over `folder`, where the process runs; `timeout` is for messages alone."""
        self._folder, self._timeout = folder, timeout
        self._printed = bytearray()
        self._pipes: list[int] = []
        try:
            # Opened for both directions, so that opening waits for nobody and an end is the process's own.
            for name in ("itg_requests", "itg_replies"):
                path = Path(folder.name) / name
                os.mkfifo(path)
                self._pipes.append(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
            # 64 KB as a rule, less for a user with many pipes; half of it, for a pipe counts whole pages.
            self.window = min(fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) for pipe in self._pipes) // 2
            self._process = tools.start(command, cwd=Path(folder.name), file_bytes=_SPARE)
        except BaseException:
            for pipe in self._pipes:
                os.close(pipe)
            raise
        assert self._process.stdout is not None
        self._console = self._process.stdout.fileno()
        os.set_blocking(self._console, False)
        self._console_open = True

    def send(self, data: bytes, deadline: float) -> None:
        """See session.Link."""
        left = memoryview(data)
        while left:
            self._wait(deadline, writing=self._pipes[0])
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(self._pipes[0], left[:_PORTION]) :]

    def receive(self, count: int, deadline: float) -> bytes:
        """See session.Link."""
        parts = bytearray()
        while len(parts) < count:
            self._wait(deadline, reading=self._pipes[1])
            with contextlib.suppress(BlockingIOError):
                parts += os.read(self._pipes[1], min(_PORTION, count - len(parts)))
        return bytes(parts)

    def close(self, deadline: float) -> None:
        """See session.Link."""
        os.close(self._pipes.pop(0))
        while self._console_open and self._process.poll() is None:
            if time.monotonic() >= deadline:
                raise self._late()
            self._listen(0.05)
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise self._late() from error
        self._ended()

    def cut(self) -> None:
        """See session.Link."""
        if self._process.stdout is None or self._process.stdout.closed:
            return
        tools.end(self._process)
        while self._console_open and self._listen(0.0):
            pass
        self._process.stdout.close()
        for pipe in self._pipes:
            os.close(pipe)
        self._folder.cleanup()

    def console(self) -> str:
        """See session.Link."""
        return tools.text_of(self._printed)

    def _wait(self, deadline: float, reading: int | None = None, writing: int | None = None) -> None:
        """Until a pipe is ready; what is printed meanwhile is kept. Raises LinkError for an end, or none in time."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._late()
            readers = [fd for fd in (reading, self._console if self._console_open else None) if fd is not None]
            # A process that closes its console has mostly ended: then, and where it has none, it is asked.
            patience = min(left, 0.2 if self._console_open else 0.01)
            ready, free, _ = select.select(readers, [writing] if writing is not None else [], [], patience)
            if reading in ready or free:
                return
            if self._console in ready:
                self._listen(0.0)
            if self._process.poll() is not None and not (
                reading is not None and select.select([reading], [], [], 0)[0]
            ):
                self._ended()
                raise LinkError("ended before its last reply")

    def _listen(self, patience: float) -> bool:
        """Keep what was printed; whether there was anything."""
        if not self._console_open or not select.select([self._console], [], [], patience)[0]:
            return False
        with contextlib.suppress(BlockingIOError):
            part = os.read(self._console, _PORTION)
            self._console_open = bool(part)
            self._printed += part
            del self._printed[: -tools.KEPT]
        return True

    def _late(self) -> LinkError:
        found = f"still running after {self._timeout:g} seconds, so it was killed"
        return LinkError(found, "Give it more time (timeout), or fewer inputs, if it is not hanging")

    def _ended(self) -> None:
        """Raises LinkError for a process that ended by itself and badly."""
        code = self._process.wait()
        while self._listen(0.0):
            pass
        if code == -signal.SIGXFSZ:
            raise LinkError(f"wrote a file of more than {_SPARE:,} bytes, so it was killed")
        if code != 0:
            raise LinkError(f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}")
