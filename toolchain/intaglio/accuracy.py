"""Top-1 accuracy of classifiers: as a float Graph, or on a board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from . import runners
from .build import Firmware
from .errors import UnsupportedError
from .graph import Array, Graph
from .manifest import Port

PORTION = 250
"""Inferences of one run of the firmware: enough for starting it not to matter, few enough to show progress."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class ClassCount:
    """Of one class: samples, and how many of them the model gets right."""

    label: int
    samples: int
    right: int


@dataclass(frozen=True)
class Accuracy:
    """`what` was asked: the float graph or a board."""

    what: str
    samples: int
    right: int
    """The label has the highest output; of equal ones the first counts."""
    tied: int
    """Samples that are not right only because another class has an output as high."""
    classes: tuple[ClassCount, ...]
    """In the order of the labels, those without samples left out."""

    @property
    def top1(self) -> float:
        return self.right / self.samples

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "top1": self.top1, "classes": [asdict(c) for c in self.classes]}


def count(what: str, outputs: Array, labels: Array) -> Accuracy:
    """Compare outputs [n, ...] with labels int64 [n], each below the number of outputs."""
    scores = outputs.reshape(len(labels), -1)
    right = scores.argmax(axis=1) == labels
    tied = ~right & (scores[np.arange(len(labels)), labels] == scores.max(axis=1))
    each = [ClassCount(int(c), int((labels == c).sum()), int(right[labels == c].sum())) for c in np.unique(labels)]
    return Accuracy(what, len(labels), int(right.sum()), int(tied.sum()), tuple(each))


def classes_of(name: str, outputs: Sequence[Port], state_bytes: int) -> int:
    """How many classes a model tells apart. Raises UnsupportedError for one that is no classifier of single inputs."""
    problems = []
    if len(outputs) != 1:
        problems.append(f"it has {len(outputs)} outputs; a classifier has one, with a score for each class")
    elif outputs[0].elements < 2:
        problems.append("its output is a single value; a classifier has a score for each class")
    if state_bytes:
        problems.append("it keeps state between inferences, so that samples are not independent")
    if problems:
        raise UnsupportedError(name, problems, "`intaglio run` gives the outputs themselves")
    return outputs[0].elements


def on_board(firmware: Firmware, inputs: Sequence[Array], labels: Array, timeout: float, each: Progress) -> Accuracy:
    """Run a firmware on all inputs ([n, ...], of the model's dtypes), `timeout` seconds a portion at most.

    Raises what runners.run raises.
    """

    def run(portion: Sequence[Array]) -> Array:
        return runners.run(firmware, portion, timeout=timeout).outputs[0]

    return count(f"on {firmware.board.name}", _portions(run, inputs, each), labels)


def of_floats(graph: Graph, inputs: Sequence[Array], labels: Array, each: Progress) -> Accuracy:
    """Run a float graph in PyTorch. `inputs`: float32 [n, *shape]. Raises ToolError without PyTorch."""
    from .floats.run import keeps_batch, run_float
    from .floats.simplify import simplify

    graph = simplify(graph)
    size = PORTION if keeps_batch(graph) else 1

    def run(portion: Sequence[Array]) -> Array:
        rows = [x.reshape(-1, *graph.tensors[n].shape[1:]) for x, n in zip(portion, graph.inputs, strict=True)]
        parts = [run_float(graph, [r[i : i + size] for r in rows])[0] for i in range(0, len(rows[0]), size)]
        return np.concatenate([p.reshape(len(rows[0]) if size > 1 else 1, -1) for p in parts])

    return count("float graph", _portions(run, inputs, each), labels)


def _portions(run: Callable[[Sequence[Array]], Array], inputs: Sequence[Array], each: Progress) -> Array:
    found = []
    for start in range(0, len(inputs[0]), PORTION):
        found.append(run([x[start : start + PORTION] for x in inputs]))
        each(min(start + PORTION, len(inputs[0])))
    return np.concatenate(found)
