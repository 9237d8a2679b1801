"""Compiling and linking: the commands, many at once, and what is said of a compiler that refuses."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import stack, tools
from ..errors import BuildError
from ..targets import Target
from .objects import Shelf
from .objects import shelf as open_shelf

FLAGS = ("-std=c99", "-O2", "-g", "-gdwarf-4", "-ffunction-sections", "-fdata-sections")
"""For every target. -g makes line tables for the profile; they stay in the ELF file and take no flash."""
PORT_FLAGS = ("-Os", "-fno-tree-loop-distribute-patterns")
"""For the application around the model: small, and no loop turned into a call of the C library."""
MANY_LAYERS = 2000
"""Above that, GCC does without its points-to analysis, which takes a time that grows with the square of the calls."""
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
"""What generated code compiles clean with."""
_COMPILE_SECONDS = 300.0
_ROOM = 64 * 1024
"""Bytes of temporary space below which a compiler that fails has probably failed for want of it."""


def compile_command(
    target: Target, source: Path, obj: Path, flags: Sequence[str] = (), compiler: str = "gcc"
) -> list[str | Path]:
    """The command that compiles one file for a target with "gcc" or "clang". Raises ToolError without it."""
    if compiler == "gcc":
        program, core = target.gcc.program, list(target.gcc.flags)
    else:
        program, core = target.clang.program, [*target.clang.flags, *_library_headers(target)]
    return [tools.find(program), *core, *FLAGS, *flags, "-c", source, "-o", obj]


def _library_headers(target: Target) -> list[str]:
    """Where Clang finds the C library's headers on bare metal: with those of GCC, which tells its dependencies."""
    if target.system != "bare-metal":
        return []
    command: list[str | Path] = [tools.find(target.gcc.program), "-M", "-include", "string.h", "-x", "c", os.devnull]
    found = (Path(word) for word in tools.call(command, timeout=30).output.split())
    return next((["-isystem", str(path.parent)] for path in found if path.name == "string.h"), [])


def compile_all(
    target: Target, sources: Sequence[Path], out: Path, flags: Sequence[str], places: Mapping[Path, str]
) -> list[Path]:
    """The objects of all sources, in the new folder `out`; some may have been compiled before, see objects.py.

    `places` gives folders short names, under which they stand in the debug information: the same bytes wherever they
    are. Raises ToolError, and BuildError for the first source that is refused.
    """
    out.mkdir()
    objects = [out / f"{i}-{source.stem}.o" for i, source in enumerate(sources)]
    # GCC takes the last that fits, so that a place below the current folder keeps its own name.
    here = dict.fromkeys(_here(), ".")
    named = [*(f"-ffile-prefix-map={path}={short}" for path, short in [*here.items(), *places.items()]), *flags]
    shelf = open_shelf(target.gcc.program, {**dict.fromkeys(here, "here"), **places}, (stack.SUFFIX,)) if here else None
    stop = threading.Event()
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(_compile, target, s, o, named, shelf, stop) for s, o in zip(sources, objects, strict=True)]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            # The first error, or Ctrl-C: leaving the block waits for the compilers, so they are ended.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if shelf is not None:
        shelf.make_room()
    return objects


def _here() -> list[Path]:
    """The current folder, which stands in debug information: as the system calls it, and as the shell does."""
    try:
        found = [Path.cwd()]
    except FileNotFoundError:  # it was removed
        return []
    shell = Path(os.environ.get("PWD", ""))
    if shell.is_absolute() and shell.exists() and shell.samefile(found[0]):
        found.append(shell)
    return [path for path in found if path != Path(path.anchor)]  # of which everything is a part


def _compile(
    target: Target, source: Path, obj: Path, flags: Sequence[str], shelf: Shelf | None, stop: threading.Event
) -> None:
    outcome = _compiled(compile_command(target, source, obj, flags), obj, shelf, stop)
    if outcome is not None and outcome.code != 0 and target.gcc.fallback_flags:
        command = compile_command(target, source, obj, [*flags, *target.gcc.fallback_flags])
        outcome = _compiled(command, obj, shelf, stop)
    if outcome is not None and outcome.code != 0:
        raise _refused(f"{source.name} ({target.gcc.program})", "does not compile", outcome)


def _compiled(command: list[str | Path], obj: Path, shelf: Shelf | None, stop: threading.Event) -> tools.Outcome | None:
    """How compiling went; None where the object was there already."""
    if shelf is None:
        return tools.call(command, timeout=_COMPILE_SECONDS, stop=stop)
    key = shelf.key(command, obj)
    if shelf.fetch(key, obj):
        return None
    included = obj.with_suffix(".d")
    outcome = tools.call([*command, "-MD", "-MF", included], timeout=_COMPILE_SECONDS, stop=stop)
    if outcome.code == 0:
        shelf.keep(key, obj, included)
    return outcome


def link(target: Target, objects: Sequence[Path], elf: Path, flags: Sequence[str]) -> None:
    """Link objects into a program. Raises BuildError."""
    core = (*target.gcc.flags, *target.gcc.link_flags)
    command: list[str | Path] = [
        tools.find(target.gcc.program), *core, "-Wl,--gc-sections", *flags, *objects, "-lm", "-o", elf,
    ]  # fmt: skip
    outcome = tools.call(command, timeout=_COMPILE_SECONDS)
    if outcome.code != 0:
        raise _refused(f"linking with {target.gcc.program}", "failed", outcome)


def _refused(where: str, found: str, outcome: tools.Outcome) -> BuildError:
    lines = [line for line in outcome.output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "undefined reference" in line] or lines
    what = "took too long" if outcome.code is None else found
    if outcome.code is not None and tools.temporary_space() < _ROOM:
        remedy = "Make room there, or let TMPDIR name another folder"
        full = f"{found}: the folder for temporary files, {tempfile.gettempdir()}, is full"
        return BuildError(where, full, "", remedy)
    return BuildError(where, what + "".join(f"\n  {line}" for line in telling[:5]))
