"""The handmade model in tiny/: copies of it, its meaning in NumPy, and firmware made of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intaglio import assets, boards, build
from intaglio.manifest import Manifest

TINY = Path(__file__).resolve().parent / "tiny"


def need(board: boards.Board) -> None:
    """Skip the test when a program that the board needs is missing."""
    for program in (board.load_target().gcc.program, *board.runner.programs()):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def copy(to: Path, edits: Mapping[str, tuple[str, str]] | None = None, **manifest: Any) -> Path:
    """A copy of the model, with (old, new) replaced in some of its files and other values in intaglio.json."""
    folder = to / "tiny"
    shutil.copytree(TINY, folder)
    shutil.copy(assets.root() / "runtime_c" / "include" / "itg.h", folder)
    for name, (old, new) in (edits or {}).items():
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    if manifest:
        path = folder / "intaglio.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **manifest}))
    return folder


def firmware(folder: Path, board_name: str) -> build.Firmware:
    board = boards.load(board_name)
    need(board)
    return build.compile_firmware(folder, Manifest.read(folder), board)


def inputs(n: int) -> np.ndarray[Any, np.dtype[Any]]:
    return np.random.default_rng(7).integers(-128, 128, (n, 16)).astype(np.int8)


def meaning(x: np.ndarray[Any, np.dtype[Any]]) -> list[np.ndarray[Any, np.dtype[Any]]]:
    """What the model computes: y [n, 4] from a state that carries over, sums [n, 2]."""

    def wrap(v: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
        return (v + 128) % 256 - 128

    weights = np.array([i + 1 if i % 2 == 0 else -i - 1 for i in range(16)])
    scaled = wrap((x.astype(np.int64) * weights + 2048 >> 4) - 128)
    halves = np.stack([scaled[:, :8].sum(1), scaled[:, 8:].sum(1)], axis=1)
    rows, now = [], np.zeros(8, np.int64)
    for row in scaled:
        now = wrap(now + row[::2])
        rows.append(now[:4])
    return [np.array(rows, np.int8), halves.astype(np.int32)]
