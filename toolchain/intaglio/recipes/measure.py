"""What a model is worth and what it costs, after each step of a recipe."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import accuracy, arrays, boards, interpret, models
from ..boards import Board
from ..compress.lossless import cost
from ..errors import BuildError, FitError, ToolError, UnsupportedError
from ..files import cache_folder
from ..graph import Array, Graph, float_model
from ..judge import Data as Samples
from ..judge import float_outputs, judge
from ..manifest import FILE, Manifest
from ..pipeline import compile_graph, executable
from .data import Data, classes
from .steps.base import Show

Loss = Callable[[Any, Any], Any]
TIMEOUT = 600.0
"""Seconds, for a portion of the test data."""


@dataclass(frozen=True)
class Measured:
    """Of a Graph. What could not be measured is None, and `unbuilt` says why there is no image."""

    accuracy: float | None
    """Top-1 over the test data; None without class numbers."""
    loss: float | None
    """The user's own over the test data, in integers if the graph is quantized."""
    flash_bytes: int | None
    """Of the linked image: weights, code and tables."""
    weight_bytes: int
    """Of weights and biases in flash."""
    macs: int
    weights: int
    """Elements of all constants."""
    zeros: float
    """The part of them that is zero."""
    unbuilt: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(graph: Graph, test: Data | None, loss: Loss | None, show: Show, where: str, board: Board) -> Measured:
    """Evaluate, and link for a board. Raises what running raises."""
    right, mean = (None, None) if test is None else _judge(graph, test, loss, show, where)
    show(f"{where}, linking for {board.name}")
    flash, held, unbuilt = None, cost(graph)[1], ""
    try:
        judged = judge(executable(graph), board, cache=_cache())
        flash, held = judged.flash_bytes, judged.flash_weight_bytes
    except (ToolError, FitError, BuildError, UnsupportedError) as error:
        unbuilt = f"{error.where}: {error.found}".splitlines()[0].rstrip(":")
        with contextlib.suppress(UnsupportedError):
            held = Manifest.model_validate_json(compile_graph(graph, board)[FILE]).weight_bytes
    constants = [t.data for t in graph.tensors.values() if t.data is not None]
    count = sum(c.size for c in constants)
    zeros = sum(int((c == 0).sum()) for c in constants) / count if count else 0.0
    return Measured(right, mean, flash, held, graph.macs(), count, zeros, unbuilt)


def _judge(graph: Graph, test: Data, loss: Loss | None, show: Show, where: str) -> tuple[float | None, float | None]:
    """(accuracy, loss)."""
    if test.y is None:
        return None, None

    def each(done: int) -> None:
        show(f"{where}, evaluating", done, len(test))

    each(0)
    outputs = _outputs(graph, test, each)
    counted = test.y.ndim == 1 and test.y.dtype.kind in "iu" and (loss is None or _classified(graph, test.y))
    right = accuracy.count("", outputs, test.y).top1 if counted else None
    return right, None if loss is None else _loss(loss, outputs, test.y)


def _classified(graph: Graph, y: Array) -> bool:
    """Whether targets can be class numbers, of a model that has a score for each."""
    try:
        return int(y.min()) >= 0 and int(y.max()) < classes(graph)
    except UnsupportedError:
        return False


def _outputs(graph: Graph, test: Data, each: Callable[[int], None]) -> Array:
    """The first output as real values, float32 [n, ...]: of PyTorch, of the C on this computer, or, where there is no
    compiler, of the NumPy reference."""
    if float_model(graph):
        return float_outputs(graph, test.x, each)
    samples = Samples(test.where, dict(zip(graph.inputs, test.x, strict=True)))
    inputs, outputs = models.ports(graph)
    try:
        found = judge(
            graph, boards.load("host"), samples, timeout=TIMEOUT, cache=_cache(),
            say=lambda text, done=0, total=None: each(int(done)),
        ).outputs  # fmt: skip
        assert found is not None
    except ToolError:
        found = interpret.run(graph, arrays.batch(samples.inputs, inputs, test.where).arrays)[0]
    return arrays.dequantize(found, outputs[0]).reshape(len(test), -1)


def _cache() -> Path:
    return cache_folder() / "judged"


def _loss(loss: Loss, outputs: Array, y: Array) -> float:
    import torch

    return float(loss(torch.as_tensor(outputs), torch.as_tensor(y)))
