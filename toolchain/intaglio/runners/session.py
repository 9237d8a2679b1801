"""A session with the application of runtime_c/app over any link that carries bytes both ways."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, Self

import numpy as np

from ..build import Firmware
from ..errors import RunError
from ..firmware import record
from ..graph import DTYPES, Array
from .base import Done, Figures, Options, checked_inputs

Counted = tuple[list[int], dict[int, int]]
"""Instructions of each inference, and of the layers of one of them: see Figures."""
_TOLD_EVERY = 0.2
"""Seconds between two words on how far it is."""


class LinkError(Exception):
    """The link is cut or too slow: what was found, and what to do."""

    def __init__(self, found: str, remedy: str = "") -> None:
        self.found, self.remedy = found, remedy


class Link(Protocol):
    """Bytes to and from a firmware, in order. `deadline`: a time of time.monotonic()."""

    @property
    def window(self) -> int:
        """Bytes that the link holds each way while nobody reads: so much may be under way; 0: one request at a time."""
        ...

    def send(self, data: bytes, deadline: float) -> None:
        """Raises LinkError."""
        ...

    def receive(self, count: int, deadline: float) -> bytes:
        """The next `count` bytes. Raises LinkError."""
        ...

    def close(self, deadline: float) -> None:
        """No further request comes: wait for the end of the firmware. Raises LinkError for a bad one."""
        ...

    def cut(self) -> None:
        """End it at once, whatever it does; nothing where it has ended."""
        ...

    def console(self) -> str:
        """What was printed up to now."""
        ...


class LinkSession:
    """One request and one reply an inference (runtime_c/app/app.c)."""

    def __init__(
        self, firmware: Firmware, link: Link, options: Options, counted: Callable[[int], Counted] | None = None
    ) -> None:
        """`counted`: reads what a counter saw of so many inferences."""
        self._firmware, self._link, self._options, self._counted = firmware, link, options, counted
        self._inferences = 0
        self._records: list[record.Record] = []  # the first, and the fastest
        self._open = True
        self._final: Figures | None = None

    def run(self, inputs: Sequence[Array], *, timeout: float | None = None, done: Done | None = None) -> list[Array]:
        """See base.Session. The first inference of a session measures arena and stack as well."""
        manifest = self._firmware.manifest
        arrays = checked_inputs(manifest, inputs)
        n, seconds = len(arrays[0]), self._options.timeout if timeout is None else timeout
        reply_bytes = record.BYTES + manifest.output_bytes
        ahead = max(1, self._link.window // max(reply_bytes, manifest.input_bytes + len(record.request(0))))
        if not self._open:
            raise RunError(self._where, "has ended: no inference can follow", "", "Open another session")
        deadline = time.monotonic() + seconds
        rows = [array.reshape(n, -1).view(np.uint8) for array in arrays]
        replies = np.empty((n, manifest.output_bytes), np.uint8)
        told = time.monotonic()
        try:
            for i in range(n):
                if i % ahead == 0:
                    group = range(i, min(i + ahead, n))
                    self._link.send(b"".join(self._request(rows, k) for k in group), deadline)
                reply = self._link.receive(reply_bytes, deadline)
                self._note(record.unpack(reply[: record.BYTES]))
                replies[i] = np.frombuffer(reply, np.uint8, offset=record.BYTES)
                if done is not None and (i == n - 1 or time.monotonic() - told >= _TOLD_EVERY):
                    told = time.monotonic()
                    done(i + 1)
        except LinkError as error:
            raise self._failed(error) from error
        except record.RecordError as error:
            raise self._failed(LinkError(f"answers with {error}", "Build it again with this release")) from error
        except BaseException:
            self._end()
            raise
        outputs, start = [], 0
        for port in manifest.outputs:
            part = np.ascontiguousarray(replies[:, start : start + port.nbytes])
            outputs.append(part.view(DTYPES[port.dtype]).reshape(n, *port.shape))
            start += port.nbytes
        return outputs

    def figures(self) -> Figures:
        """See base.Session."""
        console = self._link.console()
        if self._final is not None:
            return replace(self._final, console=console)
        if not self._records:
            return Figures(console=console)
        measures = self._firmware.board.runner.measures
        first, fastest = self._records
        counted = self._counted(self._inferences) if self._counted is not None else (None, None)
        return Figures(
            instructions=counted[0],
            layers=counted[1],
            seconds=fastest.nanoseconds / 1e9 if "seconds" in measures and fastest.nanoseconds else None,
            stack_bytes=first.stack_bytes if "stack" in measures else None,
            arena_high_water=first.arena_bytes if "arena" in measures else None,
            console=console,
        )

    def close(self) -> None:
        """See base.Session."""
        if not self._open:
            return
        try:
            self._link.close(time.monotonic() + self._options.timeout)
            self._final = self.figures()
        except LinkError as error:
            raise self._failed(error) from error
        finally:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.close()
        else:
            self._end()

    @property
    def _where(self) -> str:
        return f"{self._firmware.manifest.model} on {self._firmware.board.name}"

    def _request(self, rows: Sequence[Array], i: int) -> bytes:
        flags = (record.RESET if i == 0 else 0) | (0 if self._inferences or i else record.PAINT)
        return b"".join([record.request(flags), *(row[i].tobytes() for row in rows)])

    def _note(self, said: record.Record) -> None:
        self._inferences += 1
        first, fastest = self._records or (said, said)
        self._records = [first, min(fastest, said, key=lambda r: r.nanoseconds)]

    def _end(self) -> None:
        self._open = False
        self._link.cut()

    def _failed(self, error: LinkError) -> RunError:
        self._end()
        # QEMU says in one line why it gave up, and then fills the screen with registers.
        lines = [line for line in self._link.console().splitlines() if line.strip()]
        fatal = [line for line in lines if "fatal:" in line]
        console = "".join(f"\n  {line}" for line in fatal or lines[-8:])
        remedy = error.remedy
        if fatal and "Lockup" in fatal[0]:
            remedy = remedy or "The machine may have no memory where board.toml says: check its memory map"
        return RunError(self._where, f"{error.found}; its last words:{console}" if console else error.found, "", remedy)
