"""Damaged models: thousands of mutated .tflite files may only end in a typed error, quickly and in little memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import tflite as tflite_schema
import tiny_models

from intaglio import pipeline
from intaglio.emit import c
from intaglio.emit import tflite as writer
from intaglio.errors import IntaglioError
from intaglio.frontends import tflite
from intaglio.summary import summarize

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"
KERAS = Path(__file__).resolve().parents[1] / "keras"
MUTANTS = 2000
SHARDS = 8
"""Parts that a parallel test run can take at the same time."""
SECONDS = 5.0
MEGABYTES = 1500

HANDMADE = {make.__name__: make for make in (*tiny_models.ALL, tiny_models.floats)}


def mutate(data: bytes, places: np.ndarray, rng: np.random.Generator) -> bytes:
    """Mostly one edit, up to four, at some of `places`: flipped bits, other bytes, words set to extremes or to small
    numbers; now and then bytes inserted or removed, or the end cut off."""
    out = bytearray(data)
    for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.6, 0.2, 0.1, 0.1]))):
        at = min(int(rng.choice(places)), len(out))
        kind = rng.random()
        if kind < 0.25:
            out[at : at + 1] = bytes(b ^ (1 << int(rng.integers(0, 8))) for b in out[at : at + 1])
        elif kind < 0.45:
            out[at : at + 1] = rng.bytes(1)
        elif kind < 0.65:
            out[at & ~3 : (at & ~3) + 4] = int(rng.choice(EXTREMES)).to_bytes(4, "little", signed=True)
        elif kind < 0.9:
            out[at & ~3 : (at & ~3) + 4] = int(rng.integers(-16, 64)).to_bytes(4, "little", signed=True)
        elif kind < 0.94:
            out[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif kind < 0.98:
            del out[at : at + int(rng.integers(1, 9))]
        else:
            del out[int(rng.integers(0, len(out) + 1)) :]
    return bytes(out)


def places(data: bytes) -> np.ndarray:
    """Where to edit: anywhere but in long weights, whose damage nobody can tell; of those, the first bytes."""
    free = np.ones(len(data), bool)
    model = tflite_schema.Model.GetRootAs(data, 0)
    for i in range(model.BuffersLength()):
        table = model.Buffers(i)._tab
        field = table.Offset(4)
        if field:
            start, n = table.Vector(field), table.VectorLen(field)
            free[start + 64 : start + n] = False
    return np.flatnonzero(free)


EXTREMES = (-(2**31), 2**31 - 1, -1, 0, 1, 65536, 2**24)


def survives(data: bytes) -> str:
    """Inspect and compile; the name of the typed error that ended it, or an empty string."""
    try:
        graph = tflite.parse(data, "mutant.tflite", "mutant")
        summarize(graph).to_dict()
        pipeline.compile_graph(tflite.checked(graph, "mutant.tflite"), "host")
    except IntaglioError as error:
        return type(error).__name__
    return ""


def run_shard(data: bytes, name: str, shard: int, mutants: int = MUTANTS) -> None:
    where, numbers = places(data), range(shard, mutants, SHARDS)
    check(name, ((i, mutate(data, where, np.random.default_rng([i, len(data)]))) for i in numbers), survives)


def check(name: str, mutants: Iterable[tuple[int, bytes]], survives: Callable[[bytes], str]) -> dict[str, int]:
    """How often each ending came; fails on anything but a typed error, and on what takes too long or too much."""
    ends: dict[str, int] = {}
    for i, mutant in mutants:
        start = time.process_time()
        try:
            ended = survives(mutant)
        except BaseException as error:
            raise AssertionError(f"{name}, mutant {i}: {type(error).__name__}: {error}") from error
        seconds = time.process_time() - start
        assert seconds < SECONDS, f"{name}, mutant {i} took {seconds:.1f} s"
        ends[ended] = ends.get(ended, 0) + 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 < MEGABYTES
    assert len(ends) > 1, f"no mutant was refused: {ends}"
    return ends


@pytest.fixture(autouse=True)
def weights_are_written_once(monkeypatch):
    """Mutants of a model share most of their weights: their text, most of the time it takes, is kept."""
    write, kept = c._array, {}

    def cached(name, data, comment):
        if data.size < 256:
            return write(name, data, comment)
        key = (name, comment, data.dtype, data.shape, hash(data.tobytes()))
        if key not in kept and len(kept) < 100:
            kept[key] = write(name, data, comment)
        return kept[key] if key in kept else write(name, data, comment)

    monkeypatch.setattr(c, "_array", cached)


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("name", HANDMADE)
def test_mutants_of_handmade_models(name, shard):
    data = writer.write(HANDMADE[name]())
    assert survives(data) == ""
    run_shard(data, name, shard)


@pytest.mark.parametrize("shard", [pytest.param(k, marks=pytest.mark.soak if k else ()) for k in range(SHARDS)])
@pytest.mark.parametrize("name", ["ad", "ic", "kws", "sww", "vww"])
def test_mutants_of_real_models(name, shard):
    path = MODELS / f"{name}_int8.tflite"
    if not path.is_file():
        pytest.skip("../shared/models is not there")
    run_shard(path.read_bytes(), name, shard)


@pytest.mark.parametrize(
    "name",
    ["dense3d-any-int8", "dilated1d-any-int8", "stacked-any-float", "lstm_unrolled-any-int8", "conv1d-any-int16"],
)
def test_mutants_of_open_shapes(name):
    """Where shapes are worked out while the file is read."""
    run_shard((KERAS / f"{name}.tflite").read_bytes(), name, 0, 800)
