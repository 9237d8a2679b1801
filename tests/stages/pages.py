"""What README.md and the pages of docs/ tell a reader to do, as blocks, and folders in which all of it was done.

A block of `sh` is commands; one with a title is the file of that name; `text` right behind commands is what they print,
shortened at a line `...`. A page that adds to intaglio names files of its folders, and gets a copy of the repository.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = {path.stem: path for path in sorted((ROOT / "docs").glob("*.md"))}
NOT_RUN = ("make", "pip ")
"""Commands that set up or test, which something else runs."""
COPIED = (
    "toolchain",
    "runtime_c",
    "boards",
    "targets",
    "tests/ops",
    "tests/kernels",
    "tests/conftest.py",
    "pyproject.toml",
)
ENVIRONMENT = {**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    language: str
    title: str
    text: str
    follows: bool
    """Nothing but an empty line is between it and the block before."""

    @property
    def commands(self) -> list[str]:
        """Those that are run, without their comments."""
        if self.language != "sh" or self.title:
            return []
        return [re.sub(r"\s{2,}#.*", "", line) for line in self.text.splitlines() if not line.startswith(NOT_RUN)]


@dataclass(frozen=True)
class Done:
    """A page after all of its commands."""

    folder: Path
    said: dict[str, str]
    """What each command printed."""

    def of(self, word: str) -> str:
        """What the one command with this word in it printed."""
        (found,) = [text for line, text in self.said.items() if word in line]
        return found


def blocks(path: Path) -> list[Block]:
    text, made, end = path.read_text(), [], 0
    for found in re.finditer(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", text, re.M | re.S):
        made.append(Block(found[1], found[2] or "", found[3], not text[end : found.start()].strip()))
        end = found.end()
    return made


def do(path: Path, folder: Path) -> Done:
    """Write the files of a page and run its commands, in order, in a folder. Raises AssertionError."""
    made = blocks(path)
    if any(block.title.partition("/")[0] in COPIED for block in made):
        copy_repository(folder)
    ours = folder / "toolchain"
    environment = {
        **ENVIRONMENT, "PYTHONPATH": str(ours if ours.exists() else ROOT / "toolchain"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    said: dict[str, str] = {}
    printed = ""
    for block in made:
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text)
        elif block.language == "text" and block.follows:
            require_printed(block.text, printed, path.name)
        printed = ""
        for line in block.commands:
            # The program, and not what an installed script would find elsewhere.
            run = re.sub(r"^intaglio ", "python -m intaglio ", line)
            done = subprocess.run(run, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{path.name}: {line}\n{done.stdout}{done.stderr}"
            said[line] = done.stdout
            printed += done.stderr + done.stdout
    return Done(folder, said)


def require_printed(shown: str, printed: str, page: str) -> None:
    """Every line that a page shows was printed; numbers, and how wide a table is, may be others."""
    lines = {_plain(line) for line in printed.splitlines()}
    for line in shown.splitlines():
        assert line == "..." or _plain(line) in lines, f"{page}: {line!r} was not printed:\n{printed}"


def _plain(line: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"─+", "─", re.sub(r"\d[\d.,]*", "#", line))).strip()


def copy_repository(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)


def after_readme(folder: Path) -> Done:
    """The README done in `folder`, once for all processes of a test run: what every page goes on from."""
    folder.mkdir(exist_ok=True)
    place, log = folder / "place", folder / "said"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not log.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            (place / "examples").symlink_to(ROOT / "examples")
            said = do(README, place).said
            log.write_text("\0".join(f"{line}\1{text}" for line, text in said.items()))
    return Done(place, dict(entry.split("\1", 1) for entry in log.read_text().split("\0")))
