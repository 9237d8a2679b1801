"""The C files of a kernel: found by what they include.

A folder of runtime_c/kernels holds the kernels of some cores, `c` the portable ones. A file name stands in one folder
only, because what a model needs is written into one folder.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from . import assets
from .errors import GraphError

PORTABLE = "c"
"""The folder that every core can use, and that all others may include from."""
PUBLIC = "itg.h"
"""Lies beside the generated code, not among the kernels."""


@cache
def needed(folder: str, stem: str) -> dict[str, Path]:
    """STEM.c, STEM.h and all that they include, by name and sorted. Raises GraphError for a kernel that does not exist.

    A source that includes the header of another kernel calls it, so that kernel's source is among them; a header that
    does so takes its types alone.
    """
    found: dict[str, Path] = {}
    queue = [f"{stem}.c", f"{stem}.h"]
    while queue:
        name = queue.pop()
        if name in found:
            continue
        path = _find(folder, name)
        if path is None:
            raise GraphError(f"kernel {name}", f"is in none of {', '.join(_folders(folder))}")
        found[name] = path
        headers = included(path)
        called = [f"{h.removesuffix('.h')}.c" for h in headers] if name.endswith(".c") else []
        queue += headers + [source for source in called if _find(folder, source)]
    return dict(sorted(found.items()))


def included(path: Path) -> list[str]:
    """Headers in quotes that a file includes, without the public one."""
    lines = path.read_text("utf-8").splitlines()
    names = [line.split('"')[1] for line in lines if line.startswith('#include "')]
    return [name for name in names if name != PUBLIC]


def exists(folder: str, stem: str) -> bool:
    """Whether there is a kernel STEM.c in a folder."""
    return (root() / folder / f"{stem}.c").is_file()


def root() -> Path:
    """runtime_c/kernels."""
    return assets.root() / "runtime_c" / "kernels"


def _folders(folder: str) -> list[str]:
    return list(dict.fromkeys((folder, PORTABLE)))


def _find(folder: str, name: str) -> Path | None:
    return next((path for f in _folders(folder) if (path := root() / f / name).is_file()), None)
