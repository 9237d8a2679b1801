"""Judges mutants: each ends in a typed error or is accepted, within SECONDS of CPU time and BYTES of memory.

What counts as a failure: any exception but an IntaglioError (the command line would call it a mistake in intaglio), a
typed error that only says that memory ran out, too much time, too much memory.
"""

from __future__ import annotations

import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from intaglio.errors import IntaglioError

SECONDS = 20.0
BYTES = 1 << 30


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        name: what a seed of random numbers and a report call it.
        count: mutants in `make soak`; `make test` takes a tenth of them.
        mutant: random numbers -> a file.
        take: what intaglio does with it; raises IntaglioError. Its result is kept of those accepted.
    """

    name: str
    count: int
    mutant: Callable[[np.random.Generator], Any]
    take: Callable[[Any], Any]


@dataclass
class Found:
    """How the mutants of a kind ended: `ends` by the error's name, "accepted" for none."""

    ends: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0
    peak_bytes: int = 0
    failures: list[str] = field(default_factory=list)


class TooLong(BaseException):
    """No Exception, so that nothing takes it for damage."""


def judge(kind: Kind, numbers: range, accepted: Callable[[int, Any], None] = lambda i, found: None) -> Found:
    """Take the mutants of these numbers; `accepted` sees what came of those that were."""
    found = Found()
    with limited():
        for i in numbers:
            mutant = made(kind, i)
            begin = memory(reset=True)
            start = time.process_time()
            ended = _ending(kind, mutant, i, found, accepted)
            seconds = time.process_time() - start
            found.ends[ended] += 1
            found.seconds += seconds
            found.slowest = max(found.slowest, seconds)
            found.peak_bytes = max(found.peak_bytes, memory() - begin)
            if seconds > SECONDS:
                found.failures.append(f"{kind.name} {i}: {seconds:.1f} s")
            if memory() - begin > BYTES:
                found.failures.append(f"{kind.name} {i}: {(memory() - begin) >> 20} MB")
    return found


def made(kind: Kind, number: int) -> Any:
    """Mutant `number` of a kind, the same each time."""
    return kind.mutant(np.random.default_rng([number, *kind.name.encode()]))


def _ending(kind: Kind, mutant: Any, i: int, found: Found, accepted: Callable[[int, Any], None]) -> str:
    try:
        with alarm():
            taken = kind.take(mutant)
    except IntaglioError as error:
        if "MemoryError" in str(error):
            found.failures.append(f"{kind.name} {i}: {error}")
        return type(error).__name__
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at is not None else ""
        found.failures.append(f"{kind.name} {i}: {type(error).__name__} at {place}: {str(error)[:200]}")
        return f"failed: {type(error).__name__}"
    accepted(i, taken)
    return "accepted"


@contextmanager
def limited(extra: int = BYTES) -> Iterator[None]:
    """No more than `extra` bytes of address space beyond what is in use: what asks for more gets a MemoryError."""
    old = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _PROC.is_dir() else 0
    try:
        if used:
            resource.setrlimit(resource.RLIMIT_AS, (used + extra, old[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


@contextmanager
def alarm() -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise TooLong(f"more than {SECONDS} s")

    old = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS + 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)


_PROC = Path("/proc/self")


def memory(reset: bool = False) -> int:
    """The most bytes that this process has had in memory since the last reset."""
    if reset:
        with suppress(OSError):
            (_PROC / "clear_refs").write_text("5")
    with suppress(OSError):
        for line in (_PROC / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
