"""What a model is worth on a board and what it costs there: one function, for whoever evaluates, reports or searches.

    judged = judge(graph, board, Data("test.npz", {"x": x}, y))
    judged.accuracy.top1, judged.flash_bytes, judged.stack_bytes

With a `cache` nothing is built or run twice: what is kept there has the hash of all that it depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import accuracy, arrays, build, compiled_folder, files, models, prepare, runners, tools
from .accuracy import Accuracy
from .arrays import Batch
from .boards import Board
from .build import Firmware
from .errors import OutputError
from .graph import Array, Graph
from .manifest import FILE, Manifest, Port
from .progress import Say, quiet

PORTION = 250
"""Inferences that share a time-out, and after which progress is said."""
RANDOM_INPUTS = 2
"""Inferences that are counted without data: figures are those of the second, which has nothing left to warm up."""
KEPT = 2000
"""Results in a cache."""


@dataclass(frozen=True, eq=False)
class Data:
    """Samples to judge by."""

    where: str
    """What errors call them."""
    inputs: Mapping[str, Array]
    """[n, ...] by name; floats serve a float model and whatever becomes of it."""
    labels: Array | None = None
    """The class of each sample, int64 [n]."""

    @staticmethod
    def read(path: Path, graph: Graph | None, folder: Path | None = None) -> Data:
        """An .npz file with inputs and labels `y`, for the classifier `graph`, or what a compiled `folder` holds.

        Raises DataError, and UnsupportedError for what is no classifier.
        """
        inputs, _ = _ports(graph, folder)
        found = arrays.load(path, inputs)
        n = len(arrays.batch(found, inputs, str(path)))
        return Data(str(path), found, arrays.load_labels(path, n, classes(graph, folder)))


@dataclass(frozen=True, eq=False)
class Judged:
    """Of a model on a board, in bytes; None for what was not asked, or the board cannot measure."""

    board: str
    accuracy: Accuracy | None
    """With labels."""
    outputs: Array | None
    """With data: the first output as the board wrote it, [n, *shape]."""
    flash_bytes: int
    flash_weight_bytes: int
    ram_bytes: int
    arena_bytes: int
    stack_bytes: int | None
    """The larger of what painting shows, if it ran, and what GCC's call graph adds up to."""
    instructions: int | None
    """Of one inference, where they are counted."""


_FIGURES = ("flash_bytes", "flash_weight_bytes", "ram_bytes", "arena_bytes", "stack_bytes", "instructions")


def judge(
    graph: Graph | None, board: Board, data: Data | None = None, *, folder: Path | None = None,
    calibrated: bool = False, run_on: Board | None = None, count: bool = False, timeout: float = 600.0,
    cache: Path | None = None, say: Say = quiet,
) -> Judged:  # fmt: skip
    """Build a model for a board, run it on the data, and measure.

    Args:
        graph: the model; None for what only a compiled folder knows.
        folder: the file or folder that it came from; firmware of a compiled one is taken as it is, unless `calibrated`.
        run_on: where the data runs, if not on the board itself: a host gives the same bytes sooner.
        count: count instructions, of the data or of random inputs.
        timeout: seconds, for each portion of PORTION inferences.
        cache: a folder for results, which is made when it is needed.

    Raises FitError, BuildError, ToolError, UnsupportedError, and RunError and DataError as running does.
    """
    if run_on is not None and run_on.name != board.name:
        options = {"folder": folder, "calibrated": calibrated, "timeout": timeout, "cache": cache, "say": say}
        cost = judge(graph, board, count=count, **options)  # type: ignore[arg-type]
        worth = judge(graph, run_on, data, **options)  # type: ignore[arg-type]
        return replace(cost, accuracy=worth.accuracy, outputs=worth.outputs)
    inputs, _ = _ports(graph, folder)
    batch = arrays.batch(data.inputs, inputs, data.where) if data is not None else None
    if batch is None and count:
        batch = arrays.random_batch(inputs, RANDOM_INPUTS)
    place = None if cache is None else cache / _key(graph, board, folder, calibrated, batch, count, say)
    found = None if place is None else _kept(place, board)
    if found is None:
        with prepare.prepared(folder, board, graph, say, calibrated=calibrated) as firmware:
            found = _measured(firmware, batch, count, timeout, say)
        if place is not None:
            _keep(place, found)
    if data is None:
        return replace(found, outputs=None)
    if data.labels is None or found.outputs is None:
        return found
    return replace(found, accuracy=accuracy.count(f"on {board.name}", found.outputs, data.labels))


def float_outputs(graph: Graph, inputs: Sequence[Array], each: Callable[[int], None]) -> Array:
    """The first output of a float graph in PyTorch, float32 [n, elements]. Raises ToolError without PyTorch.

    Args:
        inputs: float32 [n, *shape].
        each: told how many samples are done.
    """
    from .floats.run import keeps_batch, run_float
    from .floats.simplify import simplify

    graph, n = simplify(graph), len(inputs[0])
    size = PORTION if keeps_batch(graph) else 1
    rows = [x.reshape(-1, *graph.tensors[name].shape[1:]) for x, name in zip(inputs, graph.inputs, strict=True)]
    found = []
    for start in range(0, n, size):
        part = [x[start : start + size] for x in rows]
        found.append(run_float(graph, part)[0].reshape(len(part[0]), -1))
        if size > 1 or (start + 1) % PORTION == 0 or start + 1 == n:
            each(min(start + size, n))
    return np.concatenate(found)


def float_accuracy(graph: Graph, data: Data, say: Say = quiet) -> Accuracy:
    """How often a float graph is right. Raises ToolError without PyTorch, DataError for data that does not fit."""
    assert data.labels is not None
    batch = arrays.batch(data.inputs, models.ports(graph)[0], data.where)
    n = len(batch)
    outputs = float_outputs(graph, batch.arrays, lambda done: say("evaluating the floats", done, n))
    return accuracy.count("float graph", outputs, data.labels)


def classes(graph: Graph | None, folder: Path | None = None) -> int:
    """How many classes a model tells apart. Raises UnsupportedError for what is no classifier."""
    outputs = _ports(graph, folder)[1]
    if graph is not None:
        return accuracy.classes_of(graph.name, outputs, len(graph.states()))
    assert folder is not None
    manifest = Manifest.read(folder)
    return accuracy.classes_of(manifest.model, outputs, manifest.state_bytes)


def _ports(graph: Graph | None, folder: Path | None) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    if graph is not None:
        return models.ports(graph)
    assert folder is not None
    return models.ports_of(folder, None)


def _measured(firmware: Firmware, batch: Batch | None, count: bool, timeout: float, say: Say) -> Judged:
    """Sizes of a firmware, and what comes of running it."""
    sizes, outputs = firmware.sizes, None
    figures = runners.Figures()
    if batch is not None:
        n, doing, parts = len(batch), f"evaluating on {firmware.board.name}", []
        say(doing, 0, n)
        with runners.open(firmware, timeout=timeout, count=count) as session:
            for start in range(0, n, PORTION):
                parts.append(session.run([x[start : start + PORTION] for x in batch.arrays])[0])
                say(doing, min(start + PORTION, n), n)
            figures = session.figures()
        outputs = np.concatenate(parts)
    stacks = [n for n in (figures.stack_bytes, sizes.stack_static_bytes) if n is not None]
    return Judged(
        board=firmware.board.name,
        accuracy=None,
        outputs=outputs,
        flash_bytes=sizes.flash_bytes,
        flash_weight_bytes=sizes.flash_weight_bytes,
        ram_bytes=sizes.ram_bytes,
        arena_bytes=sizes.arena_bytes,
        stack_bytes=max(stacks, default=None),
        instructions=figures.instructions[figures.layers_of] if figures.instructions else None,
    )


# ---- the cache ------------------------------------------------------------------------------------------------------


def _key(
    graph: Graph | None, board: Board, folder: Path | None, calibrated: bool, batch: Batch | None, count: bool, say: Say
) -> str:
    """Of all that a result depends on: the C, the application, the board, the programs that build and run, the data."""
    contents = _contents(graph, board, folder, calibrated, say)
    manifest = Manifest.model_validate_json(contents[FILE])
    programs = (board.load_target().gcc.program, *board.runner.programs())
    digest = hashlib.sha256()
    parts = [
        *(
            part
            for name, body in sorted(contents.items())
            if name[-2:] in (".c", ".h")
            for part in (name.encode(), body)
        ),
        build.made_by(manifest, board).encode(),
        repr((manifest.inputs, manifest.outputs, manifest.weight_bytes)).encode(),
        repr(
            (board.name, board.memory, board.runner, count, [tools.identity(program) for program in programs])
        ).encode(),
        *(part for x in (batch.arrays if batch else ()) for part in (f"{x.dtype.str}{x.shape}".encode(), x.tobytes())),
    ]
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _contents(
    graph: Graph | None, board: Board, folder: Path | None, calibrated: bool, say: Say
) -> Mapping[str, bytes]:
    """The files that the firmware is made of, as prepare.prepared takes them."""
    if folder is not None and compiled_folder.is_compiled(folder) and not calibrated:
        manifest = Manifest.read(folder)
        if graph is None or manifest.board == board.name:
            found = [folder / FILE, *(folder / source for source in manifest.sources), *folder.rglob("*.h")]
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
        return compiled_folder.contents(
            graph, board, say, compiled_folder.is_lossless(folder), compiled_folder.stored_as(folder)
        )
    assert graph is not None
    return compiled_folder.contents(graph, board, say)


def _kept(place: Path, board: Board) -> Judged | None:
    """A result of before; None where there is none, or what lies there is none."""
    try:
        with np.load(io.BytesIO(place.read_bytes()), allow_pickle=False) as stored:
            figures = json.loads(str(stored["figures"]))
            outputs = stored.get("outputs")
        return Judged(board=board.name, accuracy=None, outputs=outputs, **{name: figures[name] for name in _FIGURES})
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _keep(place: Path, found: Judged) -> None:
    """Keep a result. A cache that cannot be written is none; the oldest make room."""
    stored = {} if found.outputs is None else {"outputs": found.outputs}
    out = io.BytesIO()
    figures = json.dumps({name: getattr(found, name) for name in _FIGURES})
    np.savez_compressed(out, figures=np.array(figures), **stored)  # type: ignore[arg-type]
    with contextlib.suppress(OSError, OutputError):
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write_file(place, out.getvalue())
        for old in sorted(place.parent.iterdir(), key=lambda p: p.stat().st_mtime)[:-KEPT]:
            old.unlink()
