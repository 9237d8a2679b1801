"""A training loop for any nn.Module: seeded, with a progress bar, resumable, the best epoch kept.

It is a convenience. Modules of `train.to_module` and `train.quantization_aware` train in any other loop as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import DataError, TrainingError
from ..floats.run import torch_module
from .checkpoint import Checkpoint, load, save

Loss = Callable[[Any, Any], Any]
Schedule = Callable[[float], float]
"""From the part of the training that is done, in [0, 1), to a factor of the learning rate."""
Penalty = Callable[[Any, float], Any]
"""From the module and the part of the training that is done, in [0, 1), to a scalar tensor that the loss grows by."""
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "linear")
_NOT_FINITE = "The last good epoch is kept. Lower the learning rate, or bound the gradient with clip"
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave. Validation figures are None without validation data."""

    number: int
    """From 1 on."""
    loss: float
    """Mean over the samples, while training went on."""
    accuracy: float | None
    """Top-1 of the same; None when targets are not class numbers."""
    validation_loss: float | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True)
class Settings:
    """How to train.

    `optimizer` is a name of OPTIMIZERS or a function from parameters to a torch optimizer; `schedule` a name or a
    function from progress in [0, 1) to a factor of `learning_rate`. `warmup` is the part of all steps in which the rate
    first grows linearly. `patience` stops after so many epochs without a better validation result, and `keep_best`
    then returns to the best epoch. `clip` bounds the norm of the gradient.
    """

    epochs: int
    batch: int = 128
    learning_rate: float = 1e-3
    optimizer: Literal["sgd", "adam", "adamw"] | Callable[[Iterable[Any]], Any] = "adam"
    schedule: Literal["constant", "cosine", "linear"] | Schedule = "cosine"
    warmup: float = 0.0
    momentum: float = 0.9
    """For sgd, with Nesterov's correction."""
    weight_decay: float = 0.0
    """Of tensors with two or more dimensions: biases and norms are left alone."""
    clip: float | None = None
    patience: int | None = None
    keep_best: bool = False
    seed: int = 0


Progress = Callable[[Epoch], None]
Shown = Callable[[str, float, float], None]


def fit(
    module: Any,
    data: Any,
    settings: Settings,
    *,
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    validation: tuple[Any, Any] | None = None,
    augment: Callable[[Any], Any] | None = None,
    checkpoint: Path | str | None = None,
    before_step: Callable[[float], None] | None = None,
    after_step: Callable[[float], None] | None = None,
    after_epoch: Progress | None = None,
    progress: bool | Shown = True,
) -> list[Epoch]:
    """Train `module` in place, on the device that its parameters are on.

    Args:
        data: (x, y), arrays or tensors [n, ...], shuffled anew each epoch; or an iterable over batches (x, y) such as
            a DataLoader, which shuffles for itself.
        loss: from (outputs, y) to a scalar tensor; cross entropy of logits and class numbers when left out.
        penalty: added to the loss in training (weights that should become small, say); figures are without it.
        validation: (x, y), judged after each epoch in eval mode.
        augment: from a batch of x to another, in training alone.
        checkpoint: a file that is written after each epoch, and from which a run with the same settings goes on. Random
            numbers restart from seed and epoch number, so an interrupted run ends with the same bytes as one that
            was not, on the same machine with the same number of threads.
        before_step, after_step: called with the part of the training that is done, before and after each step (pruning
            schedules and such). What changes at a certain part for good belongs before: it is then so after a
            resumption too.
        after_epoch: called with each epoch's figures.
        progress: show a bar with loss, accuracy and remaining time; or a function that is given what the bar would
            say, (text, epochs done, epochs).

    Returns: the epochs, those before a resumption included. The module is in eval mode.
    Raises: DataError for data that does not fit together; TrainingError when the loss is not finite (the module then
        holds the last good epoch) or the checkpoint belongs to other settings; ToolError without PyTorch.
    """
    torch = torch_module()
    _check(settings)
    loss = loss or torch.nn.functional.cross_entropy
    source = _Arrays.of(data, settings) if isinstance(data, tuple) and len(data) == 2 else _Batches(data)
    judged = None if validation is None else _pair(validation, "validation data")
    optimizer = _optimizer(module, settings)
    run = _Run(module, source, settings, optimizer, loss, penalty, augment, before_step, after_step)
    place = None if checkpoint is None else Path(checkpoint)
    state = load(place, module, optimizer, identity(settings)) if place is not None else None
    best = state.best if state else None
    epochs = [Epoch(**e) for e in state.epochs] if state else []
    good = _copy(module)
    with _Bar(settings.epochs, progress) as bar:
        for number in range(len(epochs) + 1, settings.epochs + 1):
            if _stops(epochs, settings):
                break
            torch.manual_seed(_seed(settings.seed, number))
            try:
                mean, accuracy = _train(run, number, bar.step)
                _require_finite(module, number)
            except TrainingError:
                module.load_state_dict(good)
                module.eval()
                raise
            found = evaluate(module, judged, loss) if judged else (None, None)
            epochs.append(Epoch(number, mean, accuracy, *found))
            if settings.keep_best and _is_best(epochs):
                best = _copy(module)
            good = _copy(module)
            if place is not None:
                save(place, Checkpoint(module, optimizer, identity(settings), [vars(e) for e in epochs], best))
            bar.epoch(epochs[-1])
            if after_epoch is not None:
                after_epoch(epochs[-1])
    if settings.keep_best and best is not None:
        module.load_state_dict(best)
    module.eval()
    return epochs


def evaluate(module: Any, data: tuple[Any, Any], loss: Loss | None = None) -> tuple[float, float | None]:
    """Mean loss and top-1 accuracy (None when targets are not class numbers) over (x, y), in eval mode."""
    torch = torch_module()
    loss = loss or torch.nn.functional.cross_entropy
    x, y = _pair(data, "evaluation data")
    device, training = _device(module), module.training
    module.eval()
    total, right, counted = 0.0, 0, True
    with torch.no_grad():
        for i in range(0, len(x), EVALUATION_BATCH):
            targets = y[i : i + EVALUATION_BATCH].to(device)
            outputs = module(_like(module, x[i : i + EVALUATION_BATCH]))
            _require_classes(outputs, targets, loss, "evaluation data")
            total += float(loss(outputs, targets)) * len(targets)
            hits = _hits(outputs, targets)
            counted, right = counted and hits is not None, right + (hits or 0)
    module.train(training)
    return total / len(x), right / len(x) if counted else None


def identity(settings: Settings) -> dict[str, Any]:
    """The settings as a checkpoint keeps them; functions are known by their names."""
    return {
        k: v if isinstance(v, int | float | str | None) else getattr(v, "__qualname__", "?")
        for k, v in vars(settings).items()
    }


def _check(settings: Settings) -> None:
    for key in ("epochs", "batch", "seed", "patience"):
        value = getattr(settings, key)
        if not isinstance(value, int) and not (key == "patience" and value is None):
            raise DataError(f"training, {key}", f"is {value!r}", "a whole number")
    for key in ("learning_rate", "warmup", "momentum", "weight_decay", "clip"):
        value = getattr(settings, key)
        if not isinstance(value, int | float) and not (key == "clip" and value is None):
            raise DataError(f"training, {key}", f"is {value!r}", "a number")
    wrong = {
        "epochs": (settings.epochs, settings.epochs >= 0, "0 or more"),
        "batch": (settings.batch, settings.batch >= 1, "1 or more"),
        "seed": (settings.seed, settings.seed >= 0, "0 or more"),
        "momentum": (settings.momentum, 0 <= settings.momentum < 1, "0 to below 1"),
        "weight_decay": (settings.weight_decay, 0 <= settings.weight_decay < math.inf, "0 or more"),
        # A negative bound would turn the gradient round.
        "clip": (settings.clip, settings.clip is None or settings.clip > 0, "above 0, or None"),
        "learning_rate": (settings.learning_rate, 0 < settings.learning_rate < math.inf, "above 0"),
        "warmup": (settings.warmup, 0 <= settings.warmup <= 1, "0 to 1"),
        "patience": (settings.patience, settings.patience is None or settings.patience >= 1, "1 or more, or None"),
        "optimizer": (
            settings.optimizer, callable(settings.optimizer) or settings.optimizer in OPTIMIZERS, ", ".join(OPTIMIZERS)
        ),
        "schedule": (
            settings.schedule, callable(settings.schedule) or settings.schedule in SCHEDULES, ", ".join(SCHEDULES)
        ),
    }  # fmt: skip
    for key, (value, fine, allowed) in wrong.items():
        if not fine:
            raise DataError(f"training, {key}", f"is {value!r}", allowed)


def _require_finite(module: Any, number: int) -> None:
    """A weight that is not finite shows in the loss of the next step only, and there may be no next step."""
    torch = torch_module()
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise TrainingError(f"epoch {number}, {name}", "holds NaN or infinity", "finite numbers", _NOT_FINITE)


# ---- one epoch ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Run:
    """What an epoch needs."""

    module: Any
    source: _Arrays | _Batches
    settings: Settings
    optimizer: Any
    loss: Loss
    penalty: Penalty | None
    augment: Callable[[Any], Any] | None
    before_step: Callable[[float], None] | None
    after_step: Callable[[float], None] | None


def _train(run: _Run, number: int, shown: Callable[[float, float | None, float], None]) -> tuple[float, float | None]:
    """(mean loss, accuracy) of epoch `number`. Raises TrainingError before a step that is not finite."""
    torch, module, optimizer, settings = torch_module(), run.module, run.optimizer, run.settings
    module.train()
    device = _device(module)
    steps, total, right, seen, counted = run.source.steps(), 0.0, 0, 0, True
    for k, (x, y) in enumerate(run.source.batches(number)):
        part = (number - 1 + (k / steps if steps else 0.0)) / settings.epochs
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor(settings, part)
        if run.before_step is not None:
            run.before_step(part)
        x, y = _like(module, x), y.to(device)
        outputs = module(run.augment(x) if run.augment is not None else x)
        _require_classes(outputs, y, run.loss, "training data")
        value = run.loss(outputs, y)
        found = float(value.detach())
        if run.penalty is not None:
            value = value + run.penalty(module, part)
        if not math.isfinite(float(value.detach())):
            bad = float(value.detach())
            raise TrainingError(f"epoch {number}, step {k + 1}", f"the loss is {bad}", "a finite number", _NOT_FINITE)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        if settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
        optimizer.step()
        if run.after_step is not None:
            run.after_step((number - 1 + ((k + 1) / steps if steps else 0.0)) / settings.epochs)
        total, seen = total + found * len(y), seen + len(y)
        hits = _hits(outputs, y)
        counted, right = counted and hits is not None, right + (hits or 0)
        shown(total / seen, right / seen if counted else None, (k + 1) / steps if steps else 0.0)
    if not seen:
        raise DataError("training data", "holds no sample", "at least one")
    return total / seen, right / seen if counted else None


def factor(settings: Settings, part: float) -> float:
    """Of the learning rate, when `part` in [0, 1) of the training is done."""
    if part < settings.warmup:
        return (part + 1e-3) / (settings.warmup + 1e-3)
    rest = (part - settings.warmup) / (1 - settings.warmup) if settings.warmup < 1 else 0.0
    if callable(settings.schedule):
        return settings.schedule(rest)
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * rest)) if settings.schedule == "cosine" else 1 - rest


def _optimizer(module: Any, settings: Settings) -> Any:
    torch = torch_module()
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise DataError("training", "the module has no parameter that can be trained", "at least one")
    if callable(settings.optimizer):
        return settings.optimizer(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            groups, settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0
        )
    return (torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam)(groups, settings.learning_rate)


def _stops(epochs: Sequence[Epoch], settings: Settings) -> bool:
    if settings.patience is None or len(epochs) <= settings.patience:
        return False
    values = [_merit(e) for e in epochs]
    return max(values[-settings.patience :]) <= max(values[: -settings.patience])


def _is_best(epochs: Sequence[Epoch]) -> bool:
    return len(epochs) == 1 or _merit(epochs[-1]) > max(_merit(e) for e in epochs[:-1])


def _merit(epoch: Epoch) -> tuple[float, float]:
    """What is better is greater: accuracy, then loss; of the training when there is no validation."""
    if epoch.validation_loss is not None:
        return epoch.validation_accuracy or 0.0, -epoch.validation_loss
    return epoch.accuracy or 0.0, -epoch.loss


def _hits(outputs: Any, targets: Any) -> int | None:
    """Right answers, when targets are class numbers."""
    return int((outputs.argmax(1) == targets).sum()) if _classes(outputs, targets) else None


def _classes(outputs: Any, targets: Any) -> bool:
    """Whether outputs are a score for each class, and targets their numbers."""
    return getattr(outputs, "ndim", 0) == 2 and targets.ndim == 1 and not targets.is_floating_point()


def _require_classes(outputs: Any, targets: Any, loss: Loss, what: str) -> None:
    """Losses of the user's own may know other labels."""
    if loss is not torch_module().nn.functional.cross_entropy or not _classes(outputs, targets):
        return
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= outputs.shape[1]:
        found = f"has the label {low if low < 0 else high}"
        raise DataError(what, found, f"0 to {outputs.shape[1] - 1}, as the model has outputs")


def _copy(module: Any) -> dict[str, Any]:
    return {k: v.detach().clone() for k, v in module.state_dict().items()}


def _device(module: Any) -> Any:
    return next(module.parameters()).device


def _like(module: Any, x: Any) -> Any:
    """Samples where the module is, floats in its own: arrays are of float64 unless told otherwise."""
    first = next(module.parameters())
    return x.to(first.device, first.dtype) if x.is_floating_point() else x.to(first.device)


def _seed(seed: int, epoch: int) -> int:
    """One stream of random numbers an epoch, unlike those of neighbouring seeds."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


# ---- data ---------------------------------------------------------------------------------------------------------


def _pair(data: tuple[Any, Any], what: str) -> tuple[Any, Any]:
    torch = torch_module()
    try:
        x, y = (torch.as_tensor(np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a) for a in data)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(what, f"is no pair of arrays: {error}", "two arrays or tensors of numbers") from None
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y) or not len(x):
        raise DataError(
            what, f"has {list(x.shape)} inputs and {list(y.shape)} targets", "as many of both, one at least"
        )
    if not y.is_floating_point():
        y = y.long()  # class numbers come in any integer type
    return x, y


@dataclass(frozen=True, eq=False)
class _Arrays:
    """Samples in memory."""

    x: Any
    y: Any
    batch: int
    seed: int

    @classmethod
    def of(cls, data: tuple[Any, Any], settings: Settings) -> _Arrays:
        x, y = _pair(data, "training data")
        return cls(x, y, min(settings.batch, len(x)), settings.seed)

    def steps(self) -> int:
        # A last batch that is not full is left out: each epoch leaves out others, and batch norms want full ones.
        return len(self.x) // self.batch

    def batches(self, epoch: int) -> Iterator[tuple[Any, Any]]:
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.x))
        for k in range(self.steps()):
            chosen = order[k * self.batch : (k + 1) * self.batch]
            yield self.x[chosen], self.y[chosen]


@dataclass(frozen=True, eq=False)
class _Batches:
    """The user's own iterable over (x, y)."""

    data: Any

    def steps(self) -> int:
        return len(self.data) if hasattr(self.data, "__len__") else 0

    def batches(self, epoch: int) -> Iterator[tuple[Any, Any]]:
        for k, pair in enumerate(self.data):
            if not (isinstance(pair, tuple | list) and len(pair) == 2):
                raise DataError(f"training data, batch {k}", f"is {type(pair).__name__}", "a pair (x, y)")
            yield _pair((pair[0], pair[1]), f"training data, batch {k}")


# ---- the bar ------------------------------------------------------------------------------------------------------


class _Bar:
    """One line: epoch, loss, accuracy, time left. Silent where nobody looks, as rich decides. With a function in place
    of a bool, the line goes there instead."""

    def __init__(self, epochs: int, visible: bool | Shown) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
        )
        self._shown = visible if callable(visible) else None
        self._progress = Progress(*columns, console=Console(stderr=True), disable=visible is not True)
        self._epochs, self._number, self._drawn = epochs, 0, 0.0
        self._task = self._progress.add_task("training", total=max(epochs, 1), said="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, loss: float, accuracy: float | None, part: float) -> None:
        now = time.monotonic()
        if now - self._drawn < 0.2:
            return
        self._drawn = now
        self._draw(self._number + part, loss, accuracy)

    def epoch(self, epoch: Epoch) -> None:
        self._number = epoch.number
        self._draw(epoch.number, epoch.loss, epoch.accuracy, epoch.validation_accuracy)

    def _draw(self, done: float, loss: float, accuracy: float | None, validation: float | None = None) -> None:
        said = f"loss {loss:.4f}" + (f", accuracy {accuracy:.2%}" if accuracy is not None else "")
        said += f", validation {validation:.2%}" if validation is not None else ""
        number = min(math.floor(done) + 1, self._epochs)
        description = f"epoch {number}/{self._epochs}"
        if self._shown is not None:
            self._shown(f"{description}, {said}", done, self._epochs)
        self._progress.update(self._task, completed=done, said=said, description=description)
