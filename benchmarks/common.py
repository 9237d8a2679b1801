"""What the benchmarks share: building a model for a board, the data beside the repository, writing tables."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from intaglio import boards, prepare
from intaglio.build import Firmware
from intaglio.graph import Graph

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
RESULTS = ROOT / "benchmarks" / "results"
CORES = {
    "M0+": "qemu-m0plus-an385",
    "M3": "qemu-mps2-an385",
    "M4": "qemu-mps2-an386",
    "M7": "qemu-mps2-an500",
    "M33": "qemu-mps2-an505",
    "M55": "qemu-mps3-an547",
    "A53": "qemu-rpi3",
    "A72": "qemu-rpi4",
    "A76": "qemu-rpi5",
}


@contextmanager
def firmware(graph: Graph, board: str) -> Iterator[Firmware]:
    """The graph built for a board."""
    with prepare.prepared(None, boards.load(board), graph) as built:
        yield built


def random_inputs(graph: Graph, n: int, seed: int) -> list[np.ndarray[Any, Any]]:
    """n uniformly random int8 inputs."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 128, (n, *graph.tensors[name].shape)).astype(np.int8) for name in graph.inputs]


def differing(a: Sequence[np.ndarray[Any, Any]], b: Sequence[np.ndarray[Any, Any]]) -> int:
    """How many bytes differ; shapes and dtypes must agree."""
    total = 0
    for x, y in zip(a, b, strict=True):
        if x.dtype != y.dtype or x.size != y.size:
            raise SystemExit(f"outputs are {x.dtype}{x.shape} and {y.dtype}{y.shape}")
        total += int((x.ravel() != y.ravel()).sum())
    return total


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, right-aligned but for the first column."""
    cells = [[f"{c:,}" if isinstance(c, int) else str(c) for c in row] for row in rows]
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in cells]) + "\n"


def publish(name: str, text: str, data: Any) -> None:
    """Write benchmarks/results/NAME.md and NAME.json, each whole or not at all."""
    RESULTS.mkdir(exist_ok=True)
    for suffix, body in ((".md", text), (".json", json.dumps(data, indent=1) + "\n")):
        temporary = RESULTS / f".{name}{suffix}"
        temporary.write_text(body)
        os.replace(temporary, RESULTS / f"{name}{suffix}")
    print(f"wrote benchmarks/results/{name}.md")
