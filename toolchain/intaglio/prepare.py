"""Firmware of whatever a person names, ready to run: as it lies in a folder, from the cache, or built on the spot."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import boards, build, files
from .boards import Board
from .build import Firmware
from .compiled_folder import MODEL, contents, is_compiled, is_lossless, stored_as, write
from .errors import DataError, ModelError
from .escape import for_file_name
from .graph import Graph
from .manifest import Manifest
from .progress import Say, quiet

KEPT = 200
"""ELF files in the cache."""


@contextmanager
def prepared(
    path: Path | None, board: Board, graph: Graph | None, say: Say = quiet, *, calibrated: bool = False
) -> Iterator[Firmware]:
    """Firmware for a board: of a compiled folder, or of `graph`, which is what the file or folder `path` holds, or
    with `calibrated` what has been quantized of it.

    A folder that was compiled for this board is taken as it lies there, if it is of `graph`: its firmware.elf, or,
    where its C has changed since, what is built of that C. Otherwise C is generated, in a folder that is gone when the
    block ends. Nothing is written into a compiled folder: what is built is kept in the cache.
    """
    with tempfile.TemporaryDirectory(prefix="intaglio-") as name:
        as_it_is = path is not None and is_compiled(path) and not calibrated
        if path is not None and as_it_is and Manifest.read(path).board == board.name:
            folder, manifest = path, Manifest.read(path)
            ready = build.existing(folder, manifest, board)
            if ready is not None:
                yield ready
                return
            elf = _cached_elf(path, board)
        elif graph is None:
            raise ModelError(str(path), f"was compiled for another board and holds no {MODEL}", "", "Compile it again")
        else:
            if path is not None and is_compiled(path):
                made = contents(graph, board, say, is_lossless(path), stored_as(path))
            else:
                made = contents(graph, board, say)
            folder, elf = Path(name), _cached_elf(path or Path(graph.name), board, made)
            manifest = write(made, folder)
        say(f"building for {board.name}")
        yield build.compile_firmware(folder, manifest, board, elf)


def board_for(path: Path, name: str | None) -> Board:
    """The board asked for, or the one that a compiled folder is for. Raises BoardError, DataError without either."""
    if name is not None:
        return boards.load(name)
    if not is_compiled(path):
        raise DataError("--board", "is missing", ", ".join(boards.names()), "A compiled folder would know its own")
    return boards.load(Manifest.read(path).board)


def _cached_elf(path: Path, board: Board, made: Mapping[str, bytes] | None = None) -> Path:
    """A place for what is built of a file, or of these contents: it can be looked at afterwards.

    Two programs that build other things of one name do not meet there. The oldest make room.
    """
    digest = hashlib.sha256(f"{path.resolve()}\0{board.name}".encode("utf-8", "surrogateescape"))
    for name, data in sorted((made or {}).items()):
        digest.update(f"{name}\0{len(data)}\0".encode("utf-8", "surrogateescape") + data)
    stem = for_file_name(path.stem)
    folder = files.cache_folder() / "firmware"
    with contextlib.suppress(OSError):  # another program may be clearing up as well
        for old in sorted(folder.glob("*.elf"), key=lambda p: p.stat().st_mtime)[:-KEPT]:
            old.unlink()
    return folder / f"{stem}-{board.name}-{digest.hexdigest()[:12]}.elf"
