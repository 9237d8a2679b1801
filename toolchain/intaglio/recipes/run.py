"""Runs a recipe: each step a function of a Graph and its own random numbers, each result kept, so that a run which was
interrupted at any moment goes on and ends with the same bytes.

    OUT/model.itg, model.tflite     the final Graph; the latter where TFLite can say it
    OUT/report.json, .md, .html     accuracy and size after each step
    OUT/state/run.json              what the run was started with
    OUT/state/written.json          hashes of the files above: one that is otherwise is the user's
    OUT/state/02-prune/             graph.itg and measured.json of a step that is done; checkpoints of one that is not
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from .. import boards, compiled_folder, graph_file, models, pipeline
from ..boards import Board
from ..compress.tie import tied_as_given
from ..emit import tflite
from ..errors import DataError, ModelError, OutputError, UnsupportedError
from ..extras import version
from ..files import PART, named, write_file
from ..floats.run import torch_module
from ..graph import Graph, float_model, verify
from ..pipeline import ModuleOf
from ..stored_weights import StoredWeights, stored_weights
from . import recipe as recipes
from .data import Data, in_memory, of
from .measure import Measured, measure
from .recipe import Recipe, located
from .report import REPORTS, report
from .steps.base import Context, Show, hide
from .steps.training import LAST_GOOD, ORIGINAL

VERSION = 2
STATE, RUN, WRITTEN, GRAPH, MEASURED = "state", "run.json", "written.json", "graph.itg", "measured.json"
MODEL, TFLITE = "model.itg", "model.tflite"
FILES = (MODEL, TFLITE, *REPORTS)
"""What a finished run puts beside its state."""
Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class StepResult:
    """The model after a step; `do` is `input` for the model that the recipe was given."""

    do: str
    graph: Graph
    measured: Measured


@dataclass(frozen=True, eq=False)
class Compressed:
    """A finished run."""

    graph: Graph
    steps: tuple[StepResult, ...]
    """From the model that was given to the last one."""
    folder: Path
    files: tuple[str, ...]
    """What lies in the folder."""


def compress(
    model: str | os.PathLike[str] | Graph,
    recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe,
    train: Any = None,
    test: Any = None,
    out: str | os.PathLike[str] = "compressed",
    *,
    loss: Loss | None = None,
    board: str | os.PathLike[str] = boards.DEFAULT,
    restart: bool = False,
    module: ModuleOf | None = None,
    show: Show = hide,
) -> Compressed:
    """Do what a recipe says, and write the result and a report to the folder `out`.

    Called again with the same arguments it goes on where it was interrupted, and ends with the same bytes as one that
    was not, on the same machine.

    Args:
        model: a file of any format, a compiled folder, or a Graph.
        recipe: a name of `recipe.names()`, a .toml file, what such a file holds, or a Recipe.
        train: for steps that need it: the path of an .npz with inputs by name or `x` and class numbers `y`, a pair
            (x, y), a mapping of such arrays, or any iterable over batches (x, y) that begins anew for each epoch, such
            as a DataLoader. Images are [n, height, width, channels].
        test: the same, to judge by; without it there is no accuracy.
        loss: from (outputs, targets) to a scalar tensor; cross entropy of class numbers when left out. Known by its
            qualified name: after a change inside it, restart.
        board: what the model is for, a name or a folder with a board.toml: images are linked for it, and encodings are
            chosen by what they cost on its core.
        restart: start again even if `out` is of a run with another recipe, model, board or data.
        module: what the weights of a .pt file belong to.
        show: told of the progress.

    Raises: RecipeError, BoardError, DataError, ModelError, UnsupportedError; TrainingError when a loss is not finite,
        after the last good epoch was kept; OutputError when `out` holds something else, or a run with something else;
        ToolError without PyTorch if a step needs it.
    """
    plan, target = _recipe(recipe), boards.load(board)
    graph = _graph(model, module)
    recipes.check(plan, graph)
    trains = any(s.needs_data for s in plan.steps)
    if trains:
        torch_module()
    learned = None if train is None else of(train, graph, "training data", loss)
    for number, step in enumerate(plan.steps, 1):
        if step.needs_data and learned is None:
            raise DataError("training data", f"is missing, and {plan.label(number)} needs it", "--train X.npz")
        if step.needs_targets and learned is not None:
            learned.require_targets(plan.label(number))
    judged = None if test is None else in_memory(of(test, graph, "test data", loss))
    teachers = _teachers(plan)
    for number, step in enumerate(plan.steps, 1):
        with located(f"{plan.where}: {plan.label(number)}"):
            step.check_teachers(graph, {ORIGINAL: graph, **teachers})
    identity = {
        "version": VERSION,
        "recipe": _digest(json.dumps(plan.to_dict()).encode()),
        "model": _digest(graph_file.write(graph)),
        "training data": None if learned is None else learned.digest,
        "test data": None if judged is None else judged.digest,
        "board": target.model_dump(mode="json"),
        "teachers": {name: _digest(graph_file.write(t)) for name, t in teachers.items()},
        "loss": None if loss is None else getattr(loss, "__qualname__", type(loss).__qualname__),
    }
    folder = Path(os.path.realpath(out))
    more = {"threads": _thread_count() if trains else None, "made": _made_with(trains)}
    started = _open(folder, {**identity, **more}, restart)
    with _threads(started["threads"]):
        results = [_measured_input(graph, folder, judged, loss, show, target)]
        for number in range(1, len(plan.steps) + 1):
            place = folder / STATE / f"{number:02d}-{plan.steps[number - 1].do}"
            context = Context(
                plan.label(number), graph, learned, _seed(plan.seed, number), place, loss,
                _numbered(show, number, len(plan.steps)), target.target, teachers,
            )  # fmt: skip
            results.append(_step(plan, number, results[-1].graph, context, judged, target))
    return _finish(plan, results, folder, target, started["made"])


# ---- one step -----------------------------------------------------------------------------------------------------


def _step(plan: Recipe, number: int, graph: Graph, context: Context, test: Data | None, board: Board) -> StepResult:
    """The result of a step: the one that is kept, or a new one, which is kept from then on."""
    step, place = plan.steps[number - 1], context.folder
    kept = _kept(place)
    if kept is None:
        _make(place)
        with located(f"{plan.where}: {context.where}"):
            made = _made(place)
            if made is None:
                graph_file.save(place / GRAPH, verify(step.apply(graph, context), "float"))
                # As a run that goes on finds it.
                made = graph_file.load(place / GRAPH)
            found = measure(made, test, context.loss, context.show, context.where, board)
        write_file(place / MEASURED, _json(found.to_dict()))
        kept = made, found
    for checkpoint in place.glob("*.pt"):
        checkpoint.unlink()
    return StepResult(step.do, *kept)


def _kept(place: Path) -> tuple[Graph, Measured] | None:
    made = _made(place)
    found = _figures(place / MEASURED)
    return None if made is None or found is None else (made, found)


def _figures(path: Path) -> Measured | None:
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Measured).validate_json(path.read_bytes(), strict=True)
    except (ValueError, OSError) as error:
        raise OutputError(str(path), "is damaged", "", "Run with --restart") from error


def _made(place: Path) -> Graph | None:
    if not (place / GRAPH).is_file():
        return None
    try:
        return graph_file.load(place / GRAPH)
    except ModelError as error:
        raise OutputError(error.where, error.found, error.allowed, "Run with --restart") from error


def _measured_input(
    graph: Graph, folder: Path, test: Data | None, loss: Loss | None, show: Show, board: Board
) -> StepResult:
    path = folder / STATE / MEASURED
    found = _figures(path)
    if found is None:
        found = measure(graph, test, loss, show, "the model as it is", board)
        write_file(path, _json(found.to_dict()))
    return StepResult("input", graph, found)


# ---- the folder ---------------------------------------------------------------------------------------------------


def _open(folder: Path, identity: Mapping[str, Any], restart: bool) -> dict[str, Any]:
    """What the run in `folder` was started with, this one's identity and more. Raises OutputError."""
    path = folder / STATE / RUN
    if folder.exists() and not folder.is_dir():
        raise OutputError(str(folder), "exists and is not a folder", "", "Choose another place")
    if folder.is_dir() and any(folder.iterdir()) and not path.is_file() and not _only_begun(folder):
        allowed = "a new or empty folder, or that of an earlier run"
        others = named(sorted(p.name for p in folder.iterdir()))
        raise OutputError(str(folder), f"exists and holds other files, which are not touched: {others}", allowed,
                          "Choose another")  # fmt: skip
    found = _started(path)
    _refuse_changed(folder, _written(folder))
    if found is not None and not restart:
        other = next((k for k in identity if k not in ("threads", "made") and found.get(k) != identity[k]), None)
        if other is not None:
            said = f"is of a run with another {other}"
            remedy = "--restart starts again; or choose another folder"
            raise OutputError(str(folder), said, f"the same {other}", remedy)
        _tidy(folder)
        return found
    if found is not None:
        _clear(folder)
    _make(path.parent)
    _tidy(folder)
    write_file(path, _json(identity))
    return dict(identity)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(folder), f"cannot be written ({error.strerror})", "", "Choose another place") from error


def _started(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise OutputError(str(path), "is damaged", "", "Remove the folder") from error
    if (
        not isinstance(found, dict)
        or found.get("version") != VERSION
        or "recipe" not in found
        or not isinstance(found.get("threads"), int | None)
        or not _is_text(found.get("made"))
    ):
        raise OutputError(str(path), "is no record of a run of this version", "", "Choose another folder")
    return found


def _is_text(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(value, str) for value in found.values())


def _only_begun(folder: Path) -> bool:
    """Whether a run was interrupted before it had written anything of its own."""
    return {p.name for p in folder.iterdir()} == {STATE} and all(map(_half_written, (folder / STATE).iterdir()))


def _half_written(path: Path) -> bool:
    """Whether `files.write_file` was killed while it wrote this."""
    return path.name.startswith(".") and path.name.endswith(PART)


def _tidy(folder: Path) -> None:
    """Remove what a run that was killed had half written."""
    for part in [*folder.iterdir(), *(folder / STATE).rglob("*")] if folder.is_dir() else ():
        if _half_written(part):
            part.unlink()


def _refuse_changed(folder: Path, known: Mapping[str, Sequence[str]]) -> None:
    """Raise OutputError where a result is not what a run wrote, so that nothing of the user's is written over."""
    paths = [folder / name for name in FILES]
    changed = [p.name for p in paths if p.exists() and _digest(p.read_bytes()) not in known.get(p.name, ())]
    if changed:
        remedy = "Move them away; the same command then goes on"
        found = f"holds files that changed since they were written: {named(changed)}"
        raise OutputError(str(folder), found, "", remedy)


def _written(folder: Path) -> dict[str, list[str]]:
    """Hashes of all that runs have written here, by name."""
    path = folder / STATE / WRITTEN
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, list[str]]).validate_json(path.read_bytes(), strict=True)
    except (ValueError, OSError) as error:
        raise OutputError(str(path), "is damaged", "", "Choose another folder") from error


def _clear(folder: Path) -> None:
    """Remove an earlier run: first what says that it was finished. What else lies there is named, and stays."""
    state = folder / STATE
    places = [p for p in state.iterdir() if p.is_dir() and not p.is_symlink()]
    inside = [p for place in places for p in place.iterdir()]
    ours = [p for p in inside if p.name in (GRAPH, MEASURED, LAST_GOOD) or p.suffix == ".pt" or _half_written(p)]
    strange = sorted(str(p.relative_to(folder)) for p in {*inside} - {*ours})
    if strange:
        found = f"holds other files, which are not touched: {named(strange)}"
        raise OutputError(str(folder), found, "", "Move them away")
    try:
        for path in [*(folder / name for name in reversed(FILES)), *ours, state / MEASURED, state / WRITTEN]:
            path.unlink(missing_ok=True)
        _tidy(folder)
        for place in places:
            place.rmdir()
    except OSError as error:
        raise OutputError(str(folder), f"cannot be written ({error.strerror})", "", "Choose another place") from error


def _finish(plan: Recipe, results: list[StepResult], folder: Path, board: Board, made: Mapping[str, str]) -> Compressed:
    """Write the model and the report. Everything is there before the first file is written."""
    last = results[-1]
    contents = {MODEL: graph_file.write(last.graph)}
    why = ""
    try:
        contents[TFLITE] = tflite.write(pipeline.executable(last.graph))
    except UnsupportedError as error:
        why = error.found
    rows = [(r.do, r.measured) for r in results]
    stored: list[StoredWeights] = []
    with contextlib.suppress(UnsupportedError):
        stored = stored_weights(last.graph, board.target)
    contents.update(report(last.graph.name, plan, rows, tuple(contents), why, stored, board, made))
    known = _written(folder)
    hashes = {name: sorted({*known.get(name, ()), _digest(data)}) for name, data in contents.items()}
    _refuse_changed(folder, hashes)
    if hashes != known:
        write_file(folder / STATE / WRITTEN, _json(hashes))
    for name, data in contents.items():
        if not (folder / name).is_file() or (folder / name).read_bytes() != data:
            write_file(folder / name, data)
    return Compressed(last.graph, tuple(results), folder, tuple(contents))


# ---- what it starts from ------------------------------------------------------------------------------------------


def _recipe(given: Any) -> Recipe:
    if isinstance(given, Recipe):
        return given
    return recipes.from_dict(given) if isinstance(given, Mapping) else recipes.load(given)


def _graph(model: Any, module: ModuleOf | None) -> Graph:
    """The model, batch norms and all: slimming needs them. Equal constants are one: see `tied_as_given`."""
    if isinstance(model, Graph):
        return tied_as_given(graph_file.parse(graph_file.write(model), model.name))
    if not isinstance(model, str | os.PathLike):
        remedy = "Other modules become graphs with from_torch"
        raise DataError("model", f"is {type(model).__name__}", "a path or a Graph", remedy)
    path = Path(model)
    return tied_as_given(models.opened(path) if compiled_folder.is_compiled(path) else pipeline.load(path, module))


def _teachers(plan: Recipe) -> dict[str, Graph]:
    """The models that steps learn from, by their names in the recipe; a path is relative to the recipe's file."""
    found: dict[str, Graph] = {}
    for number, step in enumerate(plan.steps, 1):
        for name in step.teacher_names():
            path = Path(name)
            beside = Path(plan.where).parent / path
            with located(f"{plan.where}: {plan.label(number)}, teacher {name!r}"):
                found[name] = pipeline.load(path if path.exists() or not beside.exists() else beside)
            if not float_model(found[name]):
                raise DataError(f"{plan.where}: {plan.label(number)}, teacher", f"{name} is quantized", "a float model")
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _made_with(trains: bool) -> dict[str, str]:
    """Versions, and the day: SOURCE_DATE_EPOCH, or today."""
    found = {"intaglio": version(), "NumPy": np.__version__}
    if trains:
        found["PyTorch"] = str(torch_module().__version__)
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    day = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    return {**found, "started on": day.date().isoformat()}


def _seed(seed: int, number: int) -> int:
    """Of a step, whatever ran before it."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0] >> 1)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _numbered(show: Show, number: int, count: int) -> Show:
    def shown(text: str, done: float = 0.0, total: float | None = None) -> None:
        show(text.replace(f"step {number} ", f"step {number} of {count} ", 1), done, total)

    return shown


def _thread_count() -> int | None:
    with contextlib.suppress(ImportError):
        import torch

        return int(torch.get_num_threads())
    return None


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Sums depend on how many threads make them: as many as the run was started with."""
    now = _thread_count()
    if count is None or now is None:
        yield
        return
    import torch

    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(now)
