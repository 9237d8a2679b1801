"""Distillation: a student learns from what a teacher says, beside or instead of the labels.

Teacher and student may come from any format: both are Graphs or modules with the same inputs. What they say inside
is compared as well where layers are paired: `tapped` gives a graph whose outputs include those of some layers, and the
student may then be trained in floats or in the device's integers like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..dead_code import dead_code
from ..errors import DataError
from ..floats.simplify import simplify
from ..graph import Graph
from ..quantize.partial import choose
from ..train.module import GraphModule

LEAST = 1e-8
"""Probabilities count as at least this: in integers they can be 0."""


# ---- losses -------------------------------------------------------------------------------------------------------


def hard_loss(student: Any, teacher: Any) -> Any:
    """Cross entropy of the student's logits [n, classes] with the class that the teacher's logits are highest for."""
    return F.cross_entropy(student, teacher.argmax(1))


def soft_loss(student: Any, teacher: Any, temperature: float) -> Any:
    """The divergence of the softened probabilities, times temperature^2, which keeps the size of the gradient (Hinton
    et al. 2015). Logits [n, classes] -> a scalar, 0 where both say the same."""
    wanted = F.log_softmax(teacher / temperature, 1)
    found = F.log_softmax(student / temperature, 1)
    return temperature**2 * F.kl_div(found, wanted, reduction="batchmean", log_target=True)


def feature_loss(student: Any, teacher: Any) -> Any:
    """The mean square of the difference of features, relative to that of the teacher's: 1 for a student of zeros."""
    return (student - teacher).square().mean() / teacher.square().mean().clamp_min(LEAST)


def attention_loss(student: Any, teacher: Any) -> Any:
    """Squared distance of the attention maps, mean over the samples (Zagoruyko and Komodakis, ICLR 2017).

    Features [n, height, width, channels], of any two numbers of channels -> a scalar, 0..2. A map is the sum of squares
    over channels, as a vector of length 1; the larger one is averaged down to the size of the smaller.
    """
    size = tuple(min(a, b) for a, b in zip(student.shape[1:3], teacher.shape[1:3], strict=True))
    maps = []
    for features in (student, teacher):
        energy = F.adaptive_avg_pool2d(features.square().sum(3)[:, None], size)
        maps.append(F.normalize(energy.flatten(1), dim=1))
    return (maps[0] - maps[1]).square().sum(1).mean()


# ---- inside a network ---------------------------------------------------------------------------------------------


def tapped(graph: Graph, layers: Sequence[str]) -> Graph:
    """The simplified float graph, with the outputs of layers after its own, in this order.

    Raises: DataError for a name that no layer has, a pattern of several, or a layer that makes an output already.
    """
    graph = simplify(graph)
    found: list[str] = []
    for name in layers:
        made = choose(graph, [name], "distillation, layers")
        if len(made) > 1:
            raise DataError("distillation, layers", f"{name!r} fits {len(made)} layers", "the name of one")
        [output] = made
        if output in (*graph.outputs, *found):
            raise DataError("distillation, layers", f"the result of {name!r} is an output already", "other layers")
        found.append(output)
    return replace(graph, outputs=(*graph.outputs, *found))


def untapped(graph: Graph, outputs: int = 1) -> Graph:
    """A graph, in floats or in integers, without the outputs that `tapped` has given it; `outputs` were its own."""
    return dead_code(replace(graph, outputs=graph.outputs[:outputs]))


# ---- training -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Distilling:
    """How much of the loss each part is; parts of 0 are left out.

    `labels`: of the data, by `label_loss`. `hard`, `soft`: see the losses above. `features` and `attention`
    are for the pairs of layers that are tapped in both, in order.
    """

    labels: float = 0.1
    hard: float = 0.0
    soft: float = 0.9
    temperature: float = 4.0
    features: float = 0.0
    attention: float = 0.0


class Distillation(nn.Module):  # type: ignore[misc]
    """The student, with the teacher beside it: `fit(d, data, settings, loss=d.loss)` trains the student in place.

    The teacher gives its answers in training alone, to the same, augmented, inputs; evaluation is about the labels.
    It is no part of the state_dict. Features of other numbers of channels are compared through a linear map that is
    learned as well (FitNets, Romero et al., ICLR 2015).
    """

    def __init__(
        self,
        student: GraphModule,
        teacher: Any,
        parts: Distilling | None = None,
        *,
        label_loss: Callable[[Any, Any], Any] = F.cross_entropy,
        seed: int = 0,
    ) -> None:
        """
        Args:
            student: a module of `to_module` or `quantization_aware`.
            teacher: a float Graph or any module, with the student's inputs, and outputs as many as it.
            label_loss: from logits and targets to a scalar.
            seed: of the linear maps that start at random.

        Raises: DataError for parts out of range or all 0, numbers of classes that differ, taps that do not pair;
            UnsupportedError for a teacher that has no float meaning.
        """
        super().__init__()
        self.parts = parts = parts or Distilling()
        _check(parts)
        asked = GraphModule(simplify(teacher)) if isinstance(teacher, Graph) else teacher
        self.student = student
        # In a list it is no submodule: not trained, not saved.
        self._teacher = [asked.eval()]
        self._log = [_gives_probabilities(m) for m in (student, asked)]
        self.label_loss = label_loss
        self._answers: tuple[list[Any], list[Any]] | None = None
        self.maps = nn.ModuleList(self._maps(seed))

    def forward(self, x: Any) -> Any:
        """Inputs -> the student's logits; log probabilities where it gives probabilities."""
        found = _listed(self.student(x), self._log[0])
        self._answers = None
        if self.training:
            with torch.no_grad():
                self._answers = found, _listed(self._teacher[0](x), self._log[1])
        return found[0]

    def loss(self, logits: Any, targets: Any) -> Any:
        """Of the last forward pass: the sum of the parts in training, the loss of the labels alone in eval()."""
        if self._answers is None:
            return self.label_loss(logits, targets)
        (student, *mine), (teacher, *its) = self._answers
        p = self.parts
        mapped = [m(f) for m, f in zip(self.maps, mine, strict=False)]
        terms: Mapping[str, tuple[float, Callable[[], Any]]] = {
            "labels": (p.labels, lambda: self.label_loss(student, targets)),
            "hard": (p.hard, lambda: hard_loss(student, teacher)),
            "soft": (p.soft, lambda: soft_loss(student, teacher, p.temperature)),
            "features": (p.features, lambda: sum(map(feature_loss, mapped, its))),
            "attention": (p.attention, lambda: sum(map(attention_loss, mine, its))),
        }
        return sum(weight * term() for weight, term in terms.values() if weight)

    def _maps(self, seed: int) -> list[Any]:
        """For each pair of features, what brings the student's to the teacher's channels."""
        graph, device = self.student.graph, next(self.student.parameters()).device
        x = [torch.zeros(2, *graph.tensors[n].shape[1:], device=device) for n in graph.inputs]
        training = self.student.training
        self.student.eval()
        with torch.no_grad():
            mine, its = (_listed(m(*x), False) for m in (self.student, self._teacher[0]))
        self.student.train(training)
        if mine[0].ndim != 2 or mine[0].shape != its[0].shape:
            found = f"the student gives {list(mine[0].shape[1:])}, the teacher {list(its[0].shape[1:])}"
            raise DataError("distillation, outputs", found, "one score a class, as many from both")
        inside = self.parts.features or self.parts.attention
        if not inside:
            return []
        if len(mine) < 2 or len(mine) != len(its):
            found = f"the student has {len(mine) - 1} tapped layers, the teacher {len(its) - 1}"
            raise DataError("distillation, layers", found, "as many in both, at least one", "tapped(graph, layers)")
        maps: list[Any] = []
        for k, (a, b) in enumerate(zip(mine[1:], its[1:], strict=True)):
            shapes = f"the student gives {list(a.shape[1:])}, the teacher {list(b.shape[1:])}"
            if self.parts.features and a.shape[:-1] != b.shape[:-1]:
                raise DataError(f"distillation, features of pair {k + 1}", shapes, "shapes alike but for the channels")
            if self.parts.attention and not a.ndim == b.ndim == 4:
                raise DataError(f"distillation, attention of pair {k + 1}", shapes, "[height, width, channels]")
            same = a.shape[-1] == b.shape[-1]
            maps.append(nn.Identity() if same else _linear(a.shape[-1], b.shape[-1], seed + k).to(device))
        return maps if self.parts.features else []


def _check(parts: Distilling) -> None:
    weights = {k: v for k, v in vars(parts).items() if k != "temperature"}
    for key, value in weights.items():
        if not 0 <= value < float("inf"):
            raise DataError(f"distillation, {key}", f"is {value}", "0 or more")
    if not any(weights.values()):
        raise DataError("distillation", "every part of the loss is 0", "at least one above 0")
    if not 0 < parts.temperature < float("inf"):
        raise DataError("distillation, temperature", f"is {parts.temperature}", "above 0")


def _linear(mine: int, its: int, seed: int) -> Any:
    made = nn.Linear(mine, its, bias=False)
    with torch.no_grad():
        made.weight.normal_(0, mine**-0.5, generator=torch.Generator().manual_seed(seed))
    return made


def _gives_probabilities(module: Any) -> bool:
    if not isinstance(module, GraphModule):
        return False
    last = module.graph.producer(module.graph.outputs[0])
    return last is not None and last.op.gives_probabilities


def _listed(outputs: Any, log: bool) -> list[Any]:
    """The outputs, the first of them as logits [n, classes]: that of a global pool is [n, 1, 1, classes]."""
    first, *rest = outputs if isinstance(outputs, tuple | list) else (outputs,)
    if first.numel() == first.shape[0] * first.shape[-1]:
        first = first.flatten(1)
    return [first.clamp_min(LEAST).log() if log else first, *rest]
