"""Writing files and folders whole or not at all, and where what is only kept for speed may lie."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError

_ELSEWHERE = "Choose another place"


def write_file(path: Path, data: bytes, keep: tuple[Path, ...] = ()) -> None:
    """Write a file in one step, in place of one that is there; a device or a pipe is written to as it is.

    `keep` are files that must not be overwritten because they are still of use (a command's own inputs).
    Raises OutputError.
    """
    # The file behind a symbolic link is replaced, not the link.
    path = Path(os.path.realpath(path))
    if any(os.path.realpath(other) == str(path) for other in keep):
        raise OutputError(str(path), "is an input of this command", "", _ELSEWHERE)
    part: Path | None = None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
            return
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.")
        part = Path(name)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        part.chmod(_mode(0o666))
        part.replace(path)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise _failed(path, error) from error
    except BaseException:
        if part is not None:
            part.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(target: Path, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """A fresh folder to fill; it becomes `target` when the block ends well and vanishes when it does not.

    An empty `target` is taken, and one for which `replaceable` is true is replaced; anything else that is there is an
    OutputError, before the block runs. So is a place that cannot be written to.
    """
    target = Path(os.path.realpath(target))
    made = _missing_parents(target)
    part: Path | None = None
    try:
        _refuse(target, replaceable)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:64]}."))
        part.chmod(_mode(0o777))
        yield part
        _refuse(target, replaceable)
        _swap(part, target)
    except BaseException as error:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise _failed(target, error) from error
        raise


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/intaglio or ~/.cache/intaglio: everything in it can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "intaglio"


def _refuse(target: Path, replaceable: Callable[[Path], bool]) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(str(target), "exists and is not a folder", "", _ELSEWHERE)
    if any(target.iterdir()) and not replaceable(target):
        allowed = "a new or empty folder, or one that holds nothing but what intaglio wrote"
        raise OutputError(str(target), "exists and holds other files, which are not touched", allowed, _ELSEWHERE)


def _swap(part: Path, target: Path) -> None:
    """Put `part` where `target` is; the old folder is deleted only when the new one is in its place."""
    if not target.exists():
        part.rename(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:64]}."))
    target.replace(old)
    try:
        part.rename(target)
    except BaseException:
        old.replace(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _missing_parents(target: Path) -> list[Path]:
    """The folders above `target` that do not exist, the innermost first."""
    return [folder for folder in target.parents if not folder.exists()]


def _mode(full: int) -> int:
    """`full` less the umask, which temporary files do not follow by themselves."""
    mask = os.umask(0)
    os.umask(mask)
    return stat.S_IMODE(full & ~mask)


def _failed(path: Path, error: OSError) -> OutputError:
    return OutputError(str(path), f"cannot be written ({error.strerror or error})", "", _ELSEWHERE)
