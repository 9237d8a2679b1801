"""Reading a model file, whatever its format: nothing beyond a size is taken into memory."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelError

MAX_NAME = 4096
"""Characters of a tensor's name. Converters join the names of what they fuse; beyond this a name is cut, so that names
that are made of it stay small."""


def model_bytes(path: Path, most: int, kind: str) -> bytes:
    """The bytes of a file of at most `most`; `kind` says what was wanted. Raises ModelError."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # A pipe or a device could keep us waiting for ever.
            raise ModelError(str(path), "is not a regular file", kind)
        if path.stat().st_size > most:
            raise ModelError(str(path), f"has {path.stat().st_size:,} bytes", f"{most:,} at most")
        return path.read_bytes()
    except OSError as e:
        raise ModelError(str(path), f"cannot be read ({e.strerror})", kind) from e
