"""Writing files and folders whole or not at all, and where what is only kept for speed may lie."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError

_ELSEWHERE = "Choose another place"
PART = ".intaglio"
"""Ends the name of a file that is being written."""
_NAMED = 5
"""Files that an error names; of more it tells the number."""
Foreign = Callable[[Path], Sequence[str]]
"""What a folder holds that must not be lost, each with a word on why."""


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
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.", suffix=PART)
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
def new_folder(target: Path, foreign: Foreign) -> Iterator[Path]:
    """A fresh folder to fill; it becomes `target` when the block ends well and vanishes when it does not.

    A `target` that is there is replaced in one step, unless `foreign` finds something in it: that is an OutputError,
    which names it, before the block runs. So is a place that cannot be written to.
    """
    target = Path(os.path.realpath(target))
    made = _missing_parents(target)
    part: Path | None = None
    try:
        _refuse(target, target, foreign)
        _refuse_unmovable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:64]}."))
        part.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else _mode(0o777))
        yield part
        _swap(part, target, foreign)
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


def named(found: Sequence[str]) -> str:
    """A list for an error: the first few, and how many more."""
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more


def _refuse(folder: Path, shown: Path, foreign: Foreign) -> None:
    """Raise OutputError, about `shown`, where `folder` holds what must not be lost."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(str(shown), "exists and is not a folder", "", _ELSEWHERE)
    if found := foreign(folder):
        allowed = "a new or empty folder, or one that holds nothing but what intaglio wrote"
        what = f"exists and holds other files, which are not touched: {named(found)}"
        raise OutputError(str(shown), what, allowed, "Move them away, or choose another place")


def _refuse_unmovable(target: Path) -> None:
    """Raise OutputError for a folder that another cannot take the place of."""
    if not target.exists():
        return
    why = ""
    here = Path(os.path.realpath(os.curdir))
    if here == target or target in here.parents:
        why = "is the current folder or above it, and a folder is replaced as a whole"
    elif os.path.ismount(target):
        why = "is where another file system is mounted, and a folder is replaced as a whole"
    elif not os.access(target.parent, os.W_OK | os.X_OK):
        why = f"lies in {target.parent}, which cannot be written, and a folder is replaced as a whole"
    if why:
        raise OutputError(str(target), why, "", f"Choose a new folder, such as {target / 'out'}")


def _swap(part: Path, target: Path, foreign: Foreign) -> None:
    """Put `part` where `target` is. What was there is looked at once more, and only then deleted."""
    if not target.exists():
        part.rename(target)
        return
    if exchange(part, target):
        old = part
        # Listed before it is looked at: what comes later is not in the list, and not deleted.
        kept = sorted(old.rglob("*"))
        try:
            _refuse(old, target, foreign)
        except BaseException:
            exchange(part, target)
            raise
    else:
        # A program that is killed between these two leaves the old folder beside its place, under a hidden name.
        kept = sorted(target.rglob("*"))
        _refuse(target, target, foreign)
        old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:64]}."))
        target.replace(old)
        try:
            part.rename(target)
        except BaseException:
            old.replace(target)
            raise
        kept = [old / path.relative_to(target) for path in kept]
    _remove([old, *kept])


def _remove(paths: Sequence[Path]) -> None:
    """Delete what was looked at, and nothing that came since: a folder that is not empty then stays."""
    for path in sorted(paths, reverse=True):
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


def exchange(a: Path, b: Path) -> bool:
    """Let two paths change places in one step (Linux: renameat2), or do nothing and return False where that cannot be.

    Raises OSError.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # no Linux, or a C library older than 2.28
        return False
    at_cwd, rename_exchange = -100, 2
    if renameat2(at_cwd, os.fsencode(a), at_cwd, os.fsencode(b), rename_exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):  # a kernel or a file system without it
        return False
    raise OSError(number, os.strerror(number))


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
