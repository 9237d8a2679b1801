"""What the steps that train share: their options, and one function that trains a module with masks and codebooks."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from ...errors import DataError, TrainingError
from ...graph import Graph
from .base import Context, Options, Step

if TYPE_CHECKING:
    from ...train.loop import Loss, Penalty, Settings
    from ..data import Data

LEAST = 1e-8
"""Probabilities count as at least this: in integers they can be 0."""
LARGE = 3e38
"""No rate reaches this: training computes in float32."""
PARTS = ("labels", "hard", "soft", "temperature")
LAST_GOOD = "last_good.itg"
"""What a training leaves that could not go on."""
ORIGINAL = "input"
"""The teacher that is the model which the recipe was given."""


class Teaching(Options):
    """How a teacher is listened to; see compress/distil.py. The parts are weights of the loss."""

    teacher: str = ORIGINAL
    """`input`, the model that the recipe was given, or the path of a float model of any format."""
    labels: float = Field(default=0.1, ge=0, lt=float("inf"))
    hard: float = Field(default=0.0, ge=0, lt=float("inf"))
    soft: float = Field(default=0.9, ge=0, lt=float("inf"))
    temperature: float = Field(default=4.0, gt=0, lt=float("inf"))

    @property
    def inside(self) -> float:
        """The weight of what is compared inside the networks."""
        return 0.0

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not any((self.labels, self.hard, self.soft, self.inside)):
            raise ValueError("every part of the loss is 0; allowed: at least one above 0")
        return self


class Training(Step):
    """Options of a training; see train/loop.py. Zeros and codebooks that the model has stay while it trains."""

    epochs: int = Field(default=5, ge=0)
    least_steps: int = Field(default=0, ge=0)
    """The least number of steps. Where `epochs` give fewer, there are more epochs: few samples must be seen more
    often."""
    batch: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0, lt=LARGE)
    """Highest, in a schedule."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(default=0.0, ge=0, le=1)
    """Part of the steps in which the rate first grows."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """For sgd."""
    weight_decay: float = Field(default=0.0, ge=0, lt=LARGE)
    clip: float | None = Field(default=None, gt=0)
    """Bounds the norm of the gradient."""

    @property
    def needs_targets(self) -> bool:
        """Only a training needs them."""
        return self.epochs > 0

    def settings(self, seed: int, data: Data, epochs: int | None = None) -> Settings:
        """As train.loop.fit takes them; `epochs` are for a training of the step that has its own."""
        from ...train.loop import Settings

        wanted = self.epochs if epochs is None else epochs
        steps = data.steps(self.batch)
        if wanted and steps:
            wanted = max(wanted, -(-self.least_steps // steps))
        return Settings(
            wanted, self.batch, self.learning_rate, self.optimizer, self.schedule,
            self.warmup, self.momentum, self.weight_decay, self.clip, seed=seed,
        )  # fmt: skip


class Taught(Training):
    """A training that may listen to a teacher as well."""

    distil: Teaching | None = None
    """Learn from a teacher beside the labels; without it, from the labels alone."""

    def teacher_names(self) -> tuple[str, ...]:
        return teachers_of(self.distil)

    def check_teachers(self, graph: Graph, teachers: Mapping[str, Graph]) -> None:
        if self.distil is not None:
            require_alike(graph, teachers[self.distil.teacher], self.distil.teacher)


def require_alike(graph: Graph, teacher: Graph, name: str) -> None:
    """Raises DataError for a teacher with other inputs than the model, or another number of classes."""
    shapes = [[[*g.tensors[n].shape[1:]] for n in g.inputs] for g in (graph, teacher)]
    if shapes[0] != shapes[1]:
        raise DataError(f"teacher {name!r}", f"has inputs of {shapes[1]}", f"those of the model, {shapes[0]}")
    classes = [math.prod(g.tensors[g.outputs[0]].shape[-1:]) for g in (graph, teacher)]
    if classes[0] != classes[1]:
        raise DataError(f"teacher {name!r}", f"has {classes[1]} classes", f"those of the model, {classes[0]}")


def teachers_of(teaching: Teaching | None) -> tuple[str, ...]:
    return () if teaching is None or teaching.teacher == ORIGINAL else (teaching.teacher,)


def module_of(graph: Graph) -> Any:
    """A float graph as a module that keeps what earlier steps made of its weights: codebooks, and zeros."""
    from ...train import to_module

    return kept(to_module(graph))


def kept(module: Any) -> Any:
    """`module` with the codebooks and the zeros of its graph, in place."""
    from ...compress.layers import weights_of
    from ...compress.prune import keep_zeros
    from ...compress.share import keep_codebooks

    shared = keep_codebooks(module)
    others = [w.name for w in weights_of(module) if w.name not in shared]
    keep_zeros(module, others)
    return module


def train(
    module: Any,
    step: Training,
    context: Context,
    *,
    part: str = "training",
    teaching: Teaching | None = None,
    epochs: int | None = None,
    penalty: Penalty | None = None,
    before_step: Callable[[float], None] | None = None,
    after_step: Callable[[float], None] | None = None,
) -> None:
    """Train `module` in place, with a checkpoint after each epoch; a second call goes on from it.

    `part` names this training among those of the step. Raises TrainingError, having saved the last good epoch as a
    graph, when the loss or a weight is not finite any more.
    """
    from ...train.loop import fit

    assert context.train is not None
    seed = zlib.crc32(f"{context.seed} {part}".encode())
    trained, loss = module, context.loss or label_loss(module.graph)
    if teaching is not None:
        trained, loss = taught(module, teaching, context, seed)
    settings = step.settings(seed, context.train, epochs)
    place = context.folder / f"{part.replace(' ', '-')}.pt"
    said = context.where if part == "training" else f"{context.where}, {part}"

    def show(text: str, done: float, total: float) -> None:
        context.show(f"{said}, {text}", done, total)

    try:
        fit(
            trained, context.train.batches(), settings, loss=loss, penalty=penalty, checkpoint=place,
            before_step=before_step, after_step=after_step, progress=show,
        )  # fmt: skip
    except TrainingError as error:
        if error.where == str(place):
            raise  # the checkpoint cannot be read
        raise _told(error, module, place, said) from error


def taught(module: Any, teaching: Teaching, context: Context, seed: int) -> tuple[Any, Loss]:
    """The module with its teacher beside it, and the loss."""
    from torch.nn.functional import cross_entropy

    from ...compress.distil import Distillation, Distilling, tapped

    name = teaching.teacher
    teacher = context.original if name == ORIGINAL else context.teachers[name]
    pairs = getattr(teaching, "layers", ())
    if pairs:
        teacher = tapped(teacher, [its for _, its in pairs])
    said = {key: getattr(teaching, key, 0.0) for key in (*PARTS, "features", "attention")}
    made = Distillation(module, teacher, Distilling(**said), label_loss=context.loss or cross_entropy, seed=seed)
    return made, made.loss


def label_loss(graph: Graph) -> Loss:
    """Cross entropy of class numbers [n] and what a classifier gives: logits, or probabilities behind a softmax."""
    import torch.nn.functional as F

    last = graph.producer(graph.outputs[0])
    gives_probabilities = last is not None and last.op.gives_probabilities

    def loss(outputs: Any, targets: Any) -> Any:
        scores = outputs.flatten(1)
        if gives_probabilities:
            return F.nll_loss(scores.clamp_min(LEAST).log(), targets)
        return F.cross_entropy(scores, targets)

    return loss


def _told(error: TrainingError, module: Any, place: Path, said: str) -> TrainingError:
    from ... import graph_file

    kept = place.with_name(LAST_GOOD)
    graph_file.save(kept, module.to_graph())
    remedy = f"The last good epoch is in {kept}. Lower learning_rate, or set clip, and run with --restart"
    return TrainingError(f"{said}, {error.where}", error.found, error.allowed, remedy)
