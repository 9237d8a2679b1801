"""Compiled folders: C for a board, the model beside it, and the firmware.

The model is there as it is executed (model.tflite): so that running the C can be compared with the reference, and the
model can be compiled again for another board.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from . import build, files, pipeline
from .boards import Board
from .build import Firmware
from .emit import tflite as tflite_writer
from .errors import DataError, IntaglioError, UnsupportedError
from .graph import Graph, Preference, float_model
from .manifest import FILE, Manifest
from .progress import Say, quiet

MODEL = "model.tflite"


@dataclass(frozen=True, eq=False)
class Compiled:
    """A folder of C for a board."""

    folder: Path
    manifest: Manifest
    firmware: Firmware | None
    """None when only the C was wanted."""


def is_compiled(path: Path) -> bool:
    """Whether a path is a folder that `compile` wrote."""
    return (path / FILE).is_file()


def is_lossless(path: Path) -> bool:
    """Whether a path is a folder compiled with --lossless. Raises BuildError for a damaged one."""
    return is_compiled(path) and Manifest.read(path).lossless


def stored_as(path: Path) -> Preference:
    """How a compiled folder stores weights, `dense` for a model. Raises BuildError for a damaged one."""
    return Manifest.read(path).weights if is_compiled(path) else "dense"


def model_in(path: Path) -> Graph:
    """The model beside the C, unsupported operators refused. Raises ModelError, UnsupportedError."""
    from .frontends import tflite
    from .frontends.reading import model_bytes

    name = Manifest.read(path).model
    data = model_bytes(path / MODEL, tflite.MAX_BYTES, "what compile wrote")
    return tflite.checked(tflite.parse(data, str(path / MODEL), name), str(path / MODEL))


def losslessly_reduced(graph: Graph, borders: bool = True) -> Graph:
    """The smallest graph with the same bytes out (compress/lossless.py). Raises DataError for a float model."""
    if float_model(graph):
        raise DataError("--lossless", f"{graph.name} is float", "a quantized model", "--calibrate quantizes it")
    from .compress.lossless import lossless

    return lossless(graph, borders)


def contents(
    graph: Graph, board: Board, say: Say = quiet, lossless: bool = False, weights: Preference = "dense"
) -> dict[str, bytes]:
    """The files of a compiled folder, by relative path. Raises UnsupportedError, and FitError when it cannot fit.

    With `lossless` the C is of the reduced graph; the model beside it stays, as what the C is judged by. `weights` says
    how flash holds them (select/weights.py).
    """
    if lossless:
        say("removing channels")
    executed = losslessly_reduced(graph) if lossless else graph
    say("generating C")
    found = pipeline.compile_graph(executed, board, weights)
    manifest = Manifest.model_validate_json(found[FILE])
    manifest = manifest.model_copy(update={"lossless": lossless, "weights": weights})
    found[FILE] = manifest.to_json().encode()
    build.check_fit(manifest, board)
    # What TFLite cannot say stays away: the folder then does without a reference of its own.
    with contextlib.suppress(UnsupportedError):
        found[MODEL] = tflite_writer.write(graph)
    return found


def compiled(
    graph: Graph, board: Board, out: Path, with_firmware: bool = True, say: Say = quiet, lossless: bool = False,
    weights: Preference = "dense",
) -> Compiled:  # fmt: skip
    """Write a model as a folder of C, and its firmware; the folder appears when all of it is done, or not at all.

    `lossless` and `weights`: see contents. Raises what it and build.compile_firmware raise, and OutputError.
    """
    with files.new_folder(out, _foreign) as folder:
        manifest = write(contents(graph, board, say, lossless, weights), folder)
        firmware = None
        if with_firmware:
            say(f"building for {board.name}")
            firmware = build.compile_firmware(folder, manifest, board)
            made = build.built(firmware)
            hashes = {**manifest.files, build.FIRMWARE: made.sha256}
            manifest = manifest.model_copy(update={"firmware": made, "files": hashes}).sealed()
            (folder / FILE).write_text(manifest.to_json(), "utf-8")
    if firmware is not None:
        out = Path(os.path.realpath(out))
        firmware = Firmware(out / build.FIRMWARE, out, board, manifest, firmware.sizes)
    return Compiled(out, manifest, firmware)


def write(body_of: dict[str, bytes], folder: Path) -> Manifest:
    """Put the files of `contents` into an empty folder, and their hashes into its intaglio.json. Raises OSError."""
    hashes = {name: hashlib.sha256(body).hexdigest() for name, body in sorted(body_of.items()) if name != FILE}
    manifest = Manifest.model_validate_json(body_of[FILE]).model_copy(update={"files": hashes}).sealed()
    for name, body in {**body_of, FILE: manifest.to_json().encode()}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(body)
    return manifest


def _foreign(folder: Path) -> list[str]:
    """What a folder holds besides an earlier compilation, which may be replaced. Raises OSError."""
    try:
        return Manifest.read(folder, complete=False).foreign(folder)
    except IntaglioError:
        return sorted(path.name for path in folder.iterdir())
