"""Where the data files are: targets/, boards/ and runtime_c/."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The folder that holds targets/, boards/ and runtime_c/: inside the installed package, else the checkout."""
    data = PACKAGE / "_data"
    return data if data.is_dir() else PACKAGE.parents[1]
