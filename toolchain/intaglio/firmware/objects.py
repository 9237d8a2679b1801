"""Objects that were compiled before, kept in files that are named after all that they are made of.

An object is found again by its compiler, the options, and the text of its source and of every file that was included
then (GCC lists them). Where the files lie does not count: two models with the same kernels share their objects.
What cannot be told for certain is compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from .. import files, tools
from ..errors import OutputError

ELSEWHERE = "INTAGLIO_OBJECTS"
"""Of the environment: another folder for the objects; empty: none are kept."""
KEPT_BYTES = 96 * 1024 * 1024
"""Beyond that the objects that were used the longest time ago make room."""
_FORM = "1"
_READS_MORE = re.compile(rb"__has_include|incbin|#\s*embed|__DATE__|__TIME__|__TIMESTAMP__")
"""What an object may depend on besides the text that is included."""
_MOVES_HEADERS = ("CPATH", "C_INCLUDE_PATH", "GCC_EXEC_PREFIX", "COMPILER_PATH", "DEPENDENCIES_OUTPUT")
"""Of the environment: with one of these GCC reads or writes other files."""


@dataclass(frozen=True)
class Shelf:
    """Where the objects of one build come from and go to.

    Args:
        places: folders, and the short names by which they are known whatever they are called on this computer.
        compiler: what tells the compiler from others.
        beside: what ends the names of files that GCC writes beside an object.
    """

    folder: Path
    places: Mapping[Path, str]
    compiler: str
    beside: tuple[str, ...]

    def key(self, command: Sequence[str | Path], obj: Path) -> str:
        """Names an object by what is known before GCC says what is included. Raises FileNotFoundError where the current
        folder was removed."""
        # From the current folder and what it is mapped to follows a name in the debug information.
        words = (self._short(str(word)) for word in (os.getcwd(), *command) if word != obj)
        return _hash(_bytes(word) for word in (_FORM, self.compiler, *words))

    def fetch(self, key: str, obj: Path) -> bool:
        """Put the object in its place, if there is one of the same text."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for path in sorted(self.folder.glob(f"{key}-*")):
                head, _, body = path.read_bytes().partition(b"\n")
                known = json.loads(head)
                included = known["included"]
                if [self._short(str(self._long(name))) for name in included] != included:
                    continue  # it would have another name here, in the debug information too
                if known["body"] != _hash([body]) or known["text"] != self._text(included):
                    continue
                for suffix, size in known["files"]:
                    obj.with_suffix(suffix).write_bytes(body[:size])
                    body = body[size:]
                with contextlib.suppress(OSError):
                    os.utime(path)
                return True
        return False

    def keep(self, key: str, obj: Path, dependencies: Path) -> None:
        """Keep an object that was just compiled, all at once, with what GCC lists as included."""
        with contextlib.suppress(OSError, ValueError, OutputError):
            included = [self._short(str(path)) for path in _listed(dependencies)]
            text = self._text(included)
            if text is None:
                return
            paths = (obj, *(obj.with_suffix(suffix) for suffix in self.beside))
            found = [(path.suffix, path.read_bytes()) for path in paths if path.exists()]
            body = b"".join(data for _, data in found)
            sizes = [[suffix, len(data)] for suffix, data in found]
            head = {"included": included, "text": text, "files": sizes, "body": _hash([body])}
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write_file(self.folder / f"{key}-{text[:16]}", json.dumps(head).encode() + b"\n" + body)

    def make_room(self, most: int = KEPT_BYTES) -> None:
        """Remove what was used the longest time ago, until the rest has at most so many bytes."""
        with contextlib.suppress(OSError):
            found = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(self.folder)]
            total = sum(size for _, size, _ in found)
            for _, size, path in sorted(found):
                if total <= most:
                    return
                with contextlib.suppress(OSError):  # another program may be clearing up as well
                    os.unlink(path)
                total -= size

    def _text(self, included: Sequence[str]) -> str | None:
        """A hash of all that is included, and of the files that would be found instead in another folder; None where an
        object depends on more than text. Raises OSError."""
        parts = []
        for name in included:
            data = self._long(name).read_bytes()
            if name.startswith("\0") and _READS_MORE.search(data):
                return None
            parts += [_bytes(name), data]
        return _hash([*parts, *(_bytes(name) for name in self._in_the_way(included))])

    def _in_the_way(self, included: Sequence[str]) -> list[str]:
        """Files that there are in the folders of model, application and board under the names that are included."""
        paths = [self._long(name) for name in included]
        local = {p.parent for p, name in zip(paths, included, strict=True) if name.startswith("\0")}
        spelled = {Path(*p.parts[-n:]) for p in paths for n in (1, 2, 3) if n < len(p.parts)}
        found = {at / name for at in (*self.places, *local) for name in spelled}
        return sorted(self._short(str(path)) for path in found if path.is_file())

    def _short(self, word: str) -> str:
        for path, name in self._longest_first:
            word = word.replace(path, name)
        return word

    def _long(self, word: str) -> Path:
        for path, name in self._longest_first:
            word = word.replace(name, path)
        return Path(word)

    @cached_property
    def _longest_first(self) -> list[tuple[str, str]]:
        """Paths of places and what stands for them; no path has a zero byte in it."""
        return sorted(((str(p), f"\0{name}\0") for p, name in self.places.items()), key=lambda pair: -len(pair[0]))


def shelf(program: str, places: Mapping[Path, str], beside: tuple[str, ...] = ()) -> Shelf | None:
    """For one build with this GCC; None where no objects are kept. Raises ToolError."""
    there = _folder()
    if there is None:
        return None
    return Shelf(there, places, _compiler(program, tools.identity(program)), beside)


def _folder() -> Path | None:
    """Where objects are kept."""
    if any(name in os.environ for name in _MOVES_HEADERS):
        return None
    there = os.environ.get(ELSEWHERE)
    if there is None:
        return files.cache_folder() / "objects"
    return Path(there) if there else None


@cache
def _compiler(program: str, identity: str) -> str:
    """What tells this GCC from others: its driver, its compiler and its assembler."""
    found = [identity]
    for part in ("cc1", "as"):
        where = tools.call([tools.find(program), f"-print-prog-name={part}"], timeout=30).output.strip()
        found.append(tools.identity(where))
    return "\n".join(found)


def _listed(dependencies: Path) -> list[Path]:
    """The files in a rule for make that GCC wrote. Raises OSError, and ValueError for names that make would quote."""
    text = dependencies.read_text("utf-8", "surrogateescape").replace("\\\n", " ")
    _, colon, names = text.partition(": ")
    if not colon or "\\" in names or "$" in names:
        raise ValueError(names)
    return [Path(name) for name in names.split()]


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
