"""The judge: the figures of whoever else measures, from a cache only while all that they depend on is the same."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from intaglio import accuracy, arrays, boards, build, compiled_folder, interpret, judge, models, prepare, profile
from intaglio.boards import Board
from intaglio.errors import FitError, UnsupportedError
from intaglio.graph import Graph

M4 = "qemu-mps2-an386"
need_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
need_m4 = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
    reason="arm-none-eabi-gcc or qemu-system-arm is not installed",
)
GRAPH = tiny_models.image()
X = np.random.default_rng(3).integers(-128, 128, (40, 6, 6, 2), np.int8)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))


def meaning(graph: Graph, x: np.ndarray = X) -> np.ndarray:
    return interpret.run(graph, arrays.batch({"x": x}, models.ports(graph)[0], "x").arrays)[0]


def labels(graph: Graph = GRAPH) -> np.ndarray:
    """What the model says, every eighth otherwise."""
    y = meaning(graph).reshape(len(X), -1).argmax(1)
    y[::8] = (y[::8] + 1) % judge.classes(graph)
    return y


@need_m4
@need_gcc
@pytest.mark.parametrize("run_on", [None, "host"])
def test_figures_are_those_of_the_profile(run_on, monkeypatch):
    monkeypatch.setattr(judge, "PORTION", 16)
    board, data = boards.load(M4), judge.Data("x", {"x": X}, labels())
    said = []
    found = judge.judge(
        GRAPH, board, data, count=True, run_on=run_on and boards.load(run_on),
        say=lambda text, done=0, total=None: said.append((text, done, total)),
    )  # fmt: skip
    where = run_on or M4
    assert [s for s in said if s[2] == 40] == [(f"evaluating on {where}", n, 40) for n in (0, 16, 32, 40)]
    want = accuracy.count(f"on {where}", meaning(GRAPH), data.labels)
    assert found.accuracy == want and want.right == 35
    assert found.outputs.tobytes() == meaning(GRAPH).tobytes()
    inputs = [X.reshape(-1, 1, 6, 6, 2)] if run_on is None else arrays.random_batch(models.ports(GRAPH)[0], 2).arrays
    with prepare.prepared(None, board, GRAPH) as firmware:
        report = profile.profile(firmware, inputs)
    for name in ("flash_bytes", "flash_weight_bytes", "ram_bytes", "arena_bytes", "stack_bytes"):
        assert getattr(found, name) == getattr(report.memory, name), name
    assert found.instructions == report.latency.instructions > 1000


def forbidden(*_: object, **__: object):
    raise AssertionError("it is built again")


@need_gcc
def test_what_is_kept_is_used_while_it_holds(tmp_path, monkeypatch):
    host, cache = boards.load("host"), tmp_path / "judged"
    data = judge.Data("x", {"x": X}, labels())
    first = judge.judge(GRAPH, host, data, cache=cache)
    costs = judge.judge(GRAPH, host, cache=cache)
    assert costs.outputs is None and costs.accuracy is None and costs.flash_bytes == first.flash_bytes
    with monkeypatch.context() as patched:
        patched.setattr(prepare, "prepared", forbidden)
        again = judge.judge(GRAPH, host, data, cache=cache)
        assert again.accuracy == first.accuracy and again.outputs.tobytes() == first.outputs.tobytes()
        assert vars(replace(again, outputs=None)) == vars(replace(first, outputs=None))
        other = replace(data, labels=(data.labels + 1) % judge.classes(GRAPH))  # asks nothing new of the model
        assert judge.judge(GRAPH, host, other, cache=cache).accuracy.right < 20


CHANGES = {
    "the model": lambda kept: {**kept, "graph": moved(GRAPH)},
    "the inputs": lambda kept: {**kept, "data": judge.Data("x", {"x": X[::-1].copy()}, labels())},
    "the board": lambda kept: {**kept, "board": kept["board"].model_copy(update={"name": "mine"})},
    "what is counted": lambda kept: {**kept, "count": True},
}


def moved(graph: Graph) -> Graph:
    """The same with another constant."""
    name, tensor = next((n, t) for n, t in graph.tensors.items() if t.data is not None and t.data.dtype == np.int32)
    return replace(graph, tensors={**graph.tensors, name: replace(tensor, data=tensor.data + 1)})


@need_gcc
@pytest.mark.parametrize("change", [*CHANGES, "the application", "the compiler", "the board's own C", "damage"])
def test_what_is_kept_is_not_used_for_anything_else(change, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    shutil.copytree(boards.load("host").folder, folder)
    asked = {"graph": GRAPH, "board": boards.load(folder), "data": judge.Data("x", {"x": X}, labels())}
    cache = tmp_path / "judged"
    judge.judge(**asked, cache=cache)
    if change in CHANGES:
        asked = CHANGES[change](asked)
    elif change == "the application":
        monkeypatch.setattr(build, "PORT_FLAGS", ("-O1",))
    elif change == "the compiler":
        monkeypatch.setattr("intaglio.tools.identity", lambda program: f"{program} of tomorrow")
    elif change == "the board's own C":
        (folder / "board.c").write_text("int here;\n")
    else:
        (kept,) = cache.iterdir()
        kept.write_bytes(kept.read_bytes()[:200])
    monkeypatch.setattr(prepare, "prepared", forbidden)
    with pytest.raises(AssertionError, match="built again"):
        judge.judge(**asked, cache=cache)


@need_gcc
def test_a_folder_is_judged_as_it_lies_there(tmp_path):
    host, out, cache = boards.load("host"), tmp_path / "out", tmp_path / "judged"
    compiled_folder.compiled(GRAPH, host, out)
    data = judge.Data("x", {"x": X}, labels())
    first = judge.judge(GRAPH, host, data, folder=out, cache=cache)
    assert first.accuracy.right == 35
    for graph in (GRAPH, None):
        assert judge.judge(graph, host, data, folder=out, cache=cache).accuracy == first.accuracy
    source = out / "image.c"
    text = source.read_text()
    output = re.search(r"image_run\([^)]*\*(\w+)\)", text)[1]
    end = text.rindex("}")  # of image_run
    source.write_text(f"{text[:end]}    {output}[0] = 127;\n{text[end:]}")
    changed = judge.judge(GRAPH, host, data, folder=out, cache=cache)
    assert (changed.outputs.reshape(len(X), -1)[:, 0] == 127).all() and changed.accuracy != first.accuracy


@need_m4
def test_what_does_not_fit_is_said(tmp_path):
    board: Board = boards.load("qemu-microbit")
    with pytest.raises(FitError, match="does not fit"):
        judge.judge(tiny_models.big(), board)


def test_only_classifiers_have_classes():
    assert judge.classes(GRAPH) == models.ports(GRAPH)[1][0].elements
    with pytest.raises(UnsupportedError, match="state"):
        judge.classes(tiny_models.streaming())
