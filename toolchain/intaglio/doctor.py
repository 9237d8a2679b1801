"""What intaglio needs: compilers, emulators, Python packages; what of it is there, and how to get the rest."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import boards, tools
from .boards import Board
from .errors import IntaglioError
from .extras import INSTALL
from .progress import Say, quiet
from .runners import count

_EXTRAS = {
    "torch": "PyTorch models, calibration",
    "onnx": "reading ONNX models",
    "tflite-micro": "comparing with TFLM",
    "ai-edge-litert": "comparing with LiteRT",
}
"""Optional packages, and what for."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked for."""

    name: str
    ok: bool
    found: str
    """Version or path, or what is wrong."""
    purpose: str
    required: bool
    apt: str = ""
    """Debian packages that bring it."""
    pip: str = ""
    """The line that installs it."""


def examine(say: Say = quiet) -> list[Check]:
    """Look for everything. Never raises for a thing that is missing."""
    say("Python packages")
    checks = [*_python()]
    say("compilers and emulators")
    everything = [boards.load(name) for name in boards.names()]
    compilers = {_gcc(board): board for board in everything}
    for program in sorted(compilers):
        checks.append(_compiler(program, compilers[program], everything))
    for program in sorted({name for board in everything for name in board.runner.programs()}):
        checks.append(_program(program, _cores(b for b in everything if program in b.runner.programs())))
    say("counting plugin")
    checks.append(_plugin())
    checks.append(_program("clang", "checking generated code with a second compiler", required=False))
    return checks


def remedies(checks: Sequence[Check]) -> list[str]:
    """The commands that install what is missing: one for apt, one for each Python package."""
    missing = [check for check in checks if not check.ok]
    lines: list[str] = []
    for needed, label in ((True, "To get what is missing"), (False, "To get what is optional")):
        apt = list(dict.fromkeys(name for c in missing if c.required == needed for name in c.apt.split()))
        pip = list(dict.fromkeys(c.pip for c in missing if c.required == needed and c.pip))
        lines += [f"{label}: sudo apt-get install {' '.join(apt)}"] if apt else []
        lines += [f"{label}: {line}" for line in pip]
    return lines


def _python() -> Iterator[Check]:
    yield Check("Python", True, platform.python_version(), "intaglio", True)
    for name in _dependencies():
        yield _distribution(name, "intaglio", True, f"pip install {name}")
    for name, purpose in _EXTRAS.items():
        yield _distribution(name, purpose, False, INSTALL[name])


def _dependencies() -> list[str]:
    """Names of the packages that intaglio requires, from its own metadata."""
    try:
        requirements = importlib.metadata.requires("intaglio") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = ["numpy", "flatbuffers", "tflite", "pydantic", "typer", "rich", "pyelftools"]
    return [re.split(r"[^A-Za-z0-9._-]", r, maxsplit=1)[0] for r in requirements if "extra ==" not in r]


def _distribution(name: str, purpose: str, required: bool, pip: str) -> Check:
    try:
        return Check(name, True, importlib.metadata.version(name), purpose, required)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, "not installed", purpose, required, pip=pip)


def _program(program: str, purpose: str, required: bool = True) -> Check:
    """Whether a program is there and starts."""
    apt = tools.APT.get(program, program)
    try:
        outcome = tools.call([tools.find(program), "--version"], timeout=30)
    except IntaglioError as error:
        return Check(program, False, error.found, purpose, required, apt)
    if outcome.code != 0:
        return Check(program, False, f"--version ends with status {outcome.code}", purpose, required, apt)
    version = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\([^)]*\)", "", outcome.output))
    return Check(program, True, version[0] if version else "yes", purpose, required)


def _compiler(program: str, board: Board, everything: Sequence[Board]) -> Check:
    """Whether a compiler is there and, with its C library, makes a program."""
    check = _program(program, _cores(b for b in everything if _gcc(b) == program))
    if not check.ok:
        return check
    target = board.load_target()
    with tempfile.TemporaryDirectory(prefix="intaglio-") as name:
        source = Path(name) / "empty.c"
        source.write_text("#include <string.h>\nint main(void) { return 0; }\n")
        flags = ["--specs=nosys.specs"] if target.system == "bare-metal" else []
        command = [tools.find(program), *target.gcc.flags, *flags, source, "-o", Path(name) / "empty"]
        outcome = tools.call([str(part) for part in command], timeout=60)
    if outcome.code == 0:
        return check
    apt = tools.APT.get(program, program)
    return Check(program, False, f"{check.found}, without its C library", check.purpose, True, apt)


def _plugin() -> Check:
    purpose = "counting instructions"
    try:
        count.plugin()
        return Check("QEMU plugin", True, "compiles", purpose, True)
    except IntaglioError as error:
        # What is missing, gcc or QEMU, has a line of its own.
        return Check("QEMU plugin", False, str(error).split("\n")[0], purpose, True)


def _gcc(board: Board) -> str:
    return board.load_target().gcc.program


def _cores(found: Iterable[Board]) -> str:
    """The cores of some boards."""
    return ", ".join(dict.fromkeys(board.target.removeprefix("cortex-") for board in found))
