"""Top-1 accuracy of classifiers, from their outputs: judge.py makes these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .errors import UnsupportedError
from .graph import Array
from .manifest import Port


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
