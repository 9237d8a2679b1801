"""Models on their way to a board: loaded, quantized, written as a folder of C, opened again and built.

A compiled folder holds, beside the C, the model itself as it is executed (model.tflite): so that running it can be
compared with the reference, and it can be compiled again for another board.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import boards, build, files, pipeline
from .arrays import load as load_arrays
from .boards import Board
from .build import Firmware
from .emit import tflite as tflite_writer
from .errors import DataError, IntaglioError, ModelError, UnsupportedError
from .escape import for_file_name
from .graph import Array, Graph, Preference, float_model
from .manifest import FILE, Manifest, Port, port_of
from .pipeline import ModuleOf
from .quantize.methods import Method
from .quantize.scales import ActivationBits
from .quantize.weights import WeightBits

MODEL = "model.tflite"
KEPT = 200
"""ELF files in the cache."""


class Say(Protocol):
    """Told what is going on, and how far it is where that is known."""

    def __call__(self, text: str, done: float = 0, total: float | None = None) -> None: ...


def quiet(text: str, done: float = 0, total: float | None = None) -> None:
    """Says nothing."""


@dataclass(frozen=True, eq=False)
class Compiled:
    """A folder of C for a board."""

    folder: Path
    manifest: Manifest
    firmware: Firmware | None
    """None when only the C was wanted."""


@dataclass(frozen=True)
class Quantization:
    """How a float model is quantized on the way in: see quantize/post_training.py."""

    calibration: Path
    """An .npz with representative inputs."""
    method: Method | None = None
    keep_float: tuple[str, ...] = ()
    weight_bits: WeightBits = 8
    activation_bits: ActivationBits = 8


def load(path: Path, how: Quantization | None = None, say: Say = quiet, module: ModuleOf | None = None) -> Graph:
    """The graph of a model file or of a compiled folder: quantized if it is said how, else as it is executed.

    `module` says what the weights of a .pt file belong to. Raises ModelError, UnsupportedError, and DataError for
    calibration data that does not fit or an unknown layer.
    """
    say("reading the model")
    graph = _from_folder(path) if is_compiled(path) else pipeline.load(path, module)
    return pipeline.executable(graph) if how is None else quantized(graph, how, say)


def quantized(graph: Graph, how: Quantization, say: Say = quiet) -> Graph:
    """A float graph with ranges from the arrays of an .npz file. Raises DataError for a model that is not float."""
    where = str(how.calibration)
    if not float_model(graph):
        raise DataError("--calibrate", f"the model {graph.name} is quantized already", "a float model")
    from .quantize.post_training import post_training

    say("calibrating")
    arrays = calibration_data(graph, how.calibration)
    return post_training(
        graph, arrays, how.method, source=where, keep_float=how.keep_float, weight_bits=how.weight_bits,
        activation_bits=how.activation_bits,
    )  # fmt: skip


def calibration_data(graph: Graph, path: Path) -> dict[str, Array]:
    """The arrays of an .npz file for the graph's inputs, by name. Raises DataError."""
    # Not left to `calibrate`: the reader in arrays.py does not believe what a file claims about its size.
    return load_arrays(path, ports(graph)[0])


def ports(graph: Graph) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """A graph's inputs and outputs as the manifest describes them."""
    inputs, outputs = ([port_of(graph.tensors[n]) for n in names] for names in (graph.inputs, graph.outputs))
    return tuple(inputs), tuple(outputs)


def is_compiled(path: Path) -> bool:
    """Whether a path is a folder that `compile` wrote."""
    return (path / FILE).is_file()


def is_lossless(path: Path) -> bool:
    """Whether a path is a folder compiled with --lossless. Raises BuildError for a damaged one."""
    return is_compiled(path) and Manifest.read(path).lossless


def stored_as(path: Path) -> Preference:
    """How a compiled folder stores weights, `dense` for a model. Raises BuildError for a damaged one."""
    return Manifest.read(path).weights if is_compiled(path) else "dense"


def losslessly_reduced(graph: Graph, borders: bool = True) -> Graph:
    """The smallest graph with the same bytes out (compress/lossless.py). Raises DataError for a float model."""
    if float_model(graph):
        raise DataError("--lossless", f"{graph.name} is float", "a quantized model", "--calibrate quantizes it")
    from .compress.lossless import lossless

    return lossless(graph, borders)


def emit(
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
    contents = pipeline.compile_graph(executed, board, weights)
    manifest = Manifest.model_validate_json(contents[FILE])
    manifest = manifest.model_copy(update={"lossless": lossless, "weights": weights})
    contents[FILE] = manifest.to_json().encode()
    build.check_fit(manifest, board)
    # What TFLite cannot say stays away: the folder then does without a reference of its own.
    with contextlib.suppress(UnsupportedError):
        contents[MODEL] = tflite_writer.write(graph)
    return contents


def compile_graph(
    graph: Graph, board: Board, out: Path, with_firmware: bool = True, say: Say = quiet, lossless: bool = False,
    weights: Preference = "dense",
) -> Compiled:  # fmt: skip
    """Write a model as a folder of C, and its firmware; the folder appears when all of it is done, or not at all.

    `lossless` and `weights`: see emit. Raises what emit and build.compile_firmware raise, and OutputError.
    """
    with files.new_folder(out, _foreign) as folder:
        manifest = write(emit(graph, board, say, lossless, weights), folder)
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
                contents = emit(graph, board, say, is_lossless(path), stored_as(path))
            else:
                contents = emit(graph, board, say)
            folder, elf = Path(name), _cached_elf(path or Path(graph.name), board, contents)
            manifest = write(contents, folder)
        say(f"building for {board.name}")
        yield build.compile_firmware(folder, manifest, board, elf)


def board_for(path: Path, name: str | None) -> Board:
    """The board asked for, or the one that a compiled folder is for. Raises BoardError, DataError without either."""
    if name is not None:
        return boards.load(name)
    if not is_compiled(path):
        raise DataError("--board", "is missing", ", ".join(boards.names()), "A compiled folder would know its own")
    return boards.load(Manifest.read(path).board)


def reference(
    path: Path, how: Quantization | None = None, say: Say = quiet, module: ModuleOf | None = None
) -> Graph | None:
    """What a compiled folder or a model file means: None for a folder without the model. Raises as `load` does."""
    if is_compiled(path) and not (path / MODEL).is_file() and how is None:
        return None
    return load(path, how, say, module)


def ports_of(path: Path, graph: Graph | None) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Inputs and outputs of a compiled folder, or of the graph of a model file."""
    if graph is None:
        manifest = Manifest.read(path)
        return manifest.inputs, manifest.outputs
    return ports(graph)


def read(path: Path, module: ModuleOf | None = None) -> Graph:
    """A graph to look at, unsupported operators included. Raises ModelError, and as the front end does."""
    if is_compiled(path):
        return _from_folder(path)
    return pipeline.read(path, module)


def _from_folder(path: Path) -> Graph:
    from .frontends import tflite
    from .frontends.reading import model_bytes

    name = Manifest.read(path).model
    data = model_bytes(path / MODEL, tflite.MAX_BYTES, "what compile wrote")
    return tflite.checked(tflite.parse(data, str(path / MODEL), name), str(path / MODEL))


def write(contents: dict[str, bytes], folder: Path) -> Manifest:
    """Put the files of `emit` into an empty folder, and their hashes into its intaglio.json. Raises OSError."""
    hashes = {name: hashlib.sha256(body).hexdigest() for name, body in sorted(contents.items()) if name != FILE}
    manifest = Manifest.model_validate_json(contents[FILE]).model_copy(update={"files": hashes}).sealed()
    for name, body in {**contents, FILE: manifest.to_json().encode()}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(body)
    return manifest


def _foreign(folder: Path) -> list[str]:
    """What a folder holds besides an earlier compilation, which may be replaced. Raises OSError."""
    try:
        return Manifest.read(folder, complete=False).foreign(folder)
    except IntaglioError:
        return sorted(path.name for path in folder.iterdir())


def _cached_elf(path: Path, board: Board, contents: Mapping[str, bytes] | None = None) -> Path:
    """A place for what is built of a file, or of these contents: it can be looked at afterwards.

    Two programs that build other things of one name do not meet there. The oldest make room.
    """
    digest = hashlib.sha256(f"{path.resolve()}\0{board.name}".encode("utf-8", "surrogateescape"))
    for name, data in sorted((contents or {}).items()):
        digest.update(f"{name}\0{len(data)}\0".encode("utf-8", "surrogateescape") + data)
    stem = for_file_name(path.stem)
    folder = files.cache_folder() / "firmware"
    with contextlib.suppress(OSError):  # another program may be clearing up as well
        for old in sorted(folder.glob("*.elf"), key=lambda p: p.stat().st_mtime)[:-KEPT]:
            old.unlink()
    return folder / f"{stem}-{board.name}-{digest.hexdigest()[:12]}.elf"
