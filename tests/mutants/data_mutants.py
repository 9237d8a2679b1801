"""Mutants of the other files that a user may be given: .npz, board.toml, target.toml, recipes, compiled folders."""

from __future__ import annotations

import io
import json
import math
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tiny_models
from edits import INTEGERS, archive, array, edit, pick, raw, times

from intaglio import arrays, assets, boards, build, compiled_folder, models
from intaglio.graph import Graph
from intaglio.manifest import Manifest, Port
from intaglio.quantize import calibrate
from intaglio.recipes import recipe
from intaglio.targets import Target, read_toml

PORTS = (
    Port(name="x", shape=(1, 2, 3), dtype="int8", scale=0.5, zero_point=-3),
    Port(name="f", shape=(1, 4), dtype="float32"),
)

SHAPES = ((), (1,) * 40, (0,), (2**62, 0), (2**20,) * 3, None, [5, 2, 3], (5, 6), (0, 2, 3), (1, 2, 3), (5, 1, 4))
DESCRIPTIONS = (
    "|O", ">f4", "<f8", "<c8", "|V6", "|S3", "<U2", "<M8[s]", "|b1", "<f2", "<u8", [("a", "<f4")], "x", "", "<f16",
    "|i1", 3,
)  # fmt: skip


# ---- .npz -----------------------------------------------------------------------------------------------------------


def mutant_npz(rng: np.random.Generator) -> bytes:
    """Headers of the arrays changed, and the zip file around them; or raw bytes."""
    data = npz_seed(pick(rng, (False, True)))
    if rng.random() < 0.3:
        return raw(data, np.arange(len(data)), rng)
    return archive(data, rng, lambda name, body: None if rng.random() < 0.02 else _npy(rng, body), compress=True)


@cache
def npz_seed(compressed: bool) -> bytes:
    out = io.BytesIO()
    rng = np.random.default_rng(0)
    save = np.savez_compressed if compressed else np.savez
    save(out, x=rng.integers(-128, 128, (5, 2, 3), np.int8), f=rng.standard_normal((5, 4)).astype(np.float32),
         y=rng.integers(0, 3, 5))  # fmt: skip
    return out.getvalue()


def _npy(rng: np.random.Generator, body: bytes) -> bytes:
    """One .npy: its header is the text of a dict, and need not be one that NumPy would write."""
    if rng.random() < 0.3:
        return body
    array_ = np.load(io.BytesIO(body))
    header: dict[str, Any] = {"descr": array_.dtype.str, "fortran_order": False, "shape": array_.shape}
    for _ in range(times(rng)):
        kind = int(rng.integers(8))
        shape = list(header["shape"]) if isinstance(header.get("shape"), tuple) else [1]
        if kind == 0 and shape:
            shape[int(rng.integers(len(shape)))] = pick(rng, (*INTEGERS, True, False, None, 1.5, "x", -1))
            header["shape"] = tuple(shape)
        elif kind == 1:
            header["shape"] = pick(rng, SHAPES)
        elif kind == 2:
            header["descr"] = pick(rng, DESCRIPTIONS)
        elif kind == 3:
            header["fortran_order"] = pick(rng, (True, None, 1, "x"))
        elif kind == 4:
            header.pop(pick(rng, sorted(header)) if header else "", None)
            header.setdefault("shape", array_.shape)
        elif kind == 5:
            header["more"] = 1
        else:
            array_ = array(rng, array_)
    text = repr(header) if rng.random() < 0.9 else raw(repr(header).encode(), np.arange(40), rng).decode("latin-1")
    if rng.random() < 0.02:
        text = pick(rng, ("(" * 5000, "[" * 300 + "]" * 300, "9" * 9000, "x" * 9000, "{" * 300))
    version = pick(rng, ((1, 0), (1, 0), (2, 0), (3, 0), (0, 0)))
    size = 2 if version[0] == 1 else 4
    encoded = text.encode("latin-1", "replace") + b"\n"
    length = len(encoded) if rng.random() < 0.9 else pick(rng, (0, 1, 65535, (1 << 8 * size) - 1))
    return b"\x93NUMPY" + bytes(version) + length.to_bytes(size, "little") + encoded + array_.tobytes()


def take_npz(data: bytes) -> None:
    """Inputs of a run, labels, and data to calibrate with."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npz"
        path.write_bytes(data)
        found = arrays.load(path, PORTS)
        arrays.batch(found, PORTS, str(path))
        if arrays.holds_labels(path):
            arrays.load_labels(path, 5, 3)
        calibrate.read_samples(_calibrated(), path, "data")


@cache
def _calibrated() -> Graph:
    b = tiny_models.Build("two", tiny_models.Tensor("f", (1, 4), "float32"))
    return b.graph(b.add(tiny_models.Softmax(), "f", quant=None))


# ---- TOML -----------------------------------------------------------------------------------------------------------


def toml(value: dict[str, Any]) -> str:
    """A table as TOML, everything inline."""
    return "\n".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "\n"


def _key(key: Any) -> str:
    return _text(str(key))


def _text(text: str) -> str:
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\u{ord(c):04x}" for c in text[:400]) + '"'


def _value(v: Any) -> str:
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(i)}" for k, i in v.items() if i is not None) + "}"
    if isinstance(v, list):
        return "[" + ", ".join(_value(i) for i in v if i is not None) + "]"
    if isinstance(v, float):
        return "nan" if math.isnan(v) else ("-inf" if v < 0 else "inf") if math.isinf(v) else repr(v)
    return _text(v) if isinstance(v, str) else str(v)


def _changed(rng: np.random.Generator, text: str) -> str:
    """The tree written again, or now and then the text itself changed."""
    if rng.random() < 0.15:
        return raw(text.encode(), np.arange(len(text)), rng).decode("latin-1")
    tree = tomllib.loads(text)
    for _ in range(times(rng)):
        edit(rng, tree, strange=0.2)
        if rng.random() < 0.03:
            tree[pick(rng, ("x", *tree) if tree else ("x",))] = pick(rng, (10**5000, 16**9000, 2**64))
    try:
        return toml(tree)
    except (ValueError, RecursionError):  # a number of thousands of digits is written by hand
        return text + f"\nx = {pick(rng, ('9' * 9000, '0x' + 'f' * 9000, '[' * 9000, '{a=' * 3000, '1979-99-99'))}\n"


MANY_MEMORIES = (Path(__file__).parents[1] / "boards" / "many_memories.toml").read_text()


@cache
def texts(pattern: str) -> tuple[str, ...]:
    return tuple(p.read_text() for p in sorted(assets.root().glob(pattern)))


def mutant_board(rng: np.random.Generator) -> tuple[str, bytes]:
    kind = pick(rng, ("board", "board", "target"))
    seeds = (*texts(f"{kind}s/*/{kind}.toml"), *(MANY_MEMORIES,) * (3 if kind == "board" else 0))
    return kind, _changed(rng, pick(rng, seeds)).encode("utf-8", "replace")


def take_board(given: tuple[str, bytes]) -> None:
    kind, text = given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{kind}.toml"
        path.write_bytes(text)
        if kind == "board":
            boards.load(folder).load_target()
        else:
            read_toml(path, Target, "mine")


def mutant_recipe(rng: np.random.Generator) -> bytes:
    recipes = sorted((assets.PACKAGE / "recipes").glob("*.toml"))
    return _changed(rng, pick(rng, recipes).read_text()).encode("utf-8", "replace")


def take_recipe(text: bytes) -> None:
    """Read, and check against a float model, before anything is trained."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_bytes(text)
        found = recipe.load(path)
        found.to_dict()
        recipe.check(found, _float_model())


@cache
def _float_model() -> Graph:
    return tiny_models.floats()


# ---- compiled folders -----------------------------------------------------------------------------------------------


@cache
def _folder() -> dict[str, bytes]:
    return compiled_folder.contents(tiny_models.streaming(), boards.load("host"))


def mutant_manifest(rng: np.random.Generator) -> bytes:
    """intaglio.json of a compiled folder."""
    text = _folder()["intaglio.json"]
    if rng.random() < 0.2:
        return raw(text, np.arange(len(text)), rng)
    tree = json.loads(text)
    for _ in range(times(rng)):
        edit(rng, tree, strange=0.1)
    return json.dumps(tree).encode()


def take_manifest(text: bytes) -> None:
    """What `inspect`, `run` and `compile` make of a folder before they build it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compiled_folder.write(_folder(), folder)
        (folder / "intaglio.json").write_bytes(text)
        manifest = Manifest.read(folder)
        models.opened(folder)
        build.check_fit(manifest, boards.load(boards.DEFAULT))
        build.glue(manifest)
        arrays.random_batch(manifest.inputs, 1)
