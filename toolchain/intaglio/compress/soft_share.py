"""Parameter sharing, soft: weights drift to a few values while the model trains (differentiable k-means: DKM, Cho et
al., ICLR 2022).

Each weight is given by its attention to the centres, and the centres by the attention they get: k-means whose
assignments are soft, and have a gradient. The temperature falls during the training, until the assignments are hard,
and `harden` makes the codebooks of share.py of them.

    fit(module, data, settings, after_step=SoftShare(module, 16))
    harden(module)
    fit(module, data, settings)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from ..errors import DataError
from ..train.module import GraphModule
from .layers import weights_of
from .share import SMALLEST, Codebook, Soft, change, k_means, nearest, replace_by, sharable

PORTION = 1 << 20
"""Attentions that are held at a time, 4 MB; those of the other weights are computed again in the backward pass."""
ROUNDS = 5
"""Of k-means a step: it goes on from the centres of the step before."""
WARM, COLD = 3.0, 0.1
"""The temperature at the start and at the end, in mean squared distances of the weights to their nearest centres, about
12 of which are the square of the gap between two centres. At COLD nearly all weights attend to one centre; at 10 the
centres would fall together."""
UNSEEN = 1e-9
"""A centre that gets less attention than this from all weights together stays where it is."""


class SoftCodebook(Soft):
    """A parametrization: a weight becomes the mean of the centres by its attention to them, a softmax of minus the
    squared distances over the temperature. Weights that are zero at the start stay zero."""

    def __init__(self, weights: Any, entries: int) -> None:
        """
        Args:
            weights: float32, as they are at the start.
            entries: centres, one of which zeros have if there are any.
        """
        super().__init__()
        self.entries = entries
        self.register_buffer("filled", weights != 0)
        values = weights[self.filled]
        zero = values.numel() < weights.numel()
        centres = torch.tensor(k_means(values.cpu().numpy(), entries - zero) if values.numel() else [0.0])
        self.register_buffer("centres", centres.to(values))
        """float32 [entries at most], ascending, without zero: those of the last step."""
        error = (values - self.centres[self._nearest(values)]).square().sum()
        # Not 0 where the weights lie on the centres already.
        self.register_buffer("unit", error / max(values.numel(), 1) + SMALLEST)
        self.register_buffer("temperature", torch.tensor(WARM).to(values))

    def forward(self, weights: Any) -> Any:
        """The soft weights; in training the centres move first. Of their gradient, that of the last round counts."""
        values, centres = weights[self.filled], self.centres
        if not values.numel():
            return torch.where(self.filled, weights, 0.0)
        parts = values.split(max(1, PORTION // centres.numel()))
        factor = -1 / (self.temperature * self.unit)
        if self.training:
            with torch.no_grad():
                for _ in range(ROUNDS - 1):
                    centres = _moved(parts, centres, factor)
            centres = _moved(parts, centres, factor)
            self.centres.copy_(centres.detach())
        found = torch.cat(_each(_mixed, parts, centres, factor))
        return torch.zeros_like(weights).masked_scatter(self.filled, found)

    def hard(self, weights: Any, axis: int) -> Codebook:
        """The codebook in which each weight has the centre that it attends to most."""
        zero = not bool(self.filled.all())
        table = torch.zeros(1, self.entries - zero)
        table[0, : self.centres.numel()] = self.centres.cpu()
        found = self._nearest(weights) + int(zero)
        return Codebook(table, torch.where(self.filled, found, 0), zero, axis)

    def _nearest(self, values: Any) -> Any:
        """The indices of the nearest centres."""
        index = nearest(values.detach().cpu().numpy(), self.centres.double().cpu().numpy())
        return torch.as_tensor(index, device=values.device)


class SoftShare:
    """Shares softly while `fit` trains: `fit(module, ..., after_step=SoftShare(module, 16))`, then `harden(module)`.

    Leave `patience` and `keep_best` of `fit` off: they could return to weights that are far from their centres.
    """

    def __init__(self, module: GraphModule, entries: int | Mapping[str, int], *, end: float = 0.75) -> None:
        """Give layers centres, found by k-means.

        Weights that are zero stay zero, with an entry of their own: prune before.

        Args:
            module: of `quantization_aware`, or of `to_module(simplify(graph))`; changed in place.
            entries: how many values the weights of a layer are to take; see `share.share`.
            end: when the temperature reaches its end: the part of the training that is done, above 0, at most 1.

        Raises: DataError for values out of range, and as `share.share`; then nothing changes.
        """
        if not 0 < end <= 1:
            raise DataError("soft sharing, end", f"is {end}", "above 0, at most 1")
        chosen = sharable(module, entries)
        self.end = end
        self.books = [SoftCodebook(w.value(), k) for w, k, _ in chosen]
        for (w, _, _), book in zip(chosen, self.books, strict=True):
            w.parametrize(book)

    def __call__(self, part: float) -> None:
        """After a step: cool down to where the temperature belongs when `part`, in 0..1, of the training is done."""
        for book in self.books:
            book.temperature.fill_(WARM * (COLD / WARM) ** min(part / self.end, 1.0))


def harden(module: GraphModule) -> dict[str, float]:
    """Make codebooks (share.py) of soft ones, and of mixtures (mixture.py): each weight takes the centre nearest to it,
    or the mean of its likeliest component, on the int8 grid.

    Training then tunes the entries.

    Returns: by layer, the root of the mean square of what its weights changed by, relative to that of its weights.
    """
    training = module.training
    module.eval()
    errors = {}
    for w in weights_of(module):
        soft = next((step for step in w.steps() if isinstance(step, Soft)), None)
        if soft is None:
            continue
        before, value = w.value(), w.original().detach()
        for step in w.steps()[: w.steps().index(soft)]:
            value = step(value)
        parametrize.remove_parametrizations(w.holder, w.attribute, leave_parametrized=False)
        replace_by(w, soft.hard(value, w.axis))
        errors[w.name] = change(before, w.value())
    module.train(training)
    return errors


# ---- attention ----------------------------------------------------------------------------------------------------


def _moved(parts: Sequence[Any], centres: Any, factor: Any) -> Any:
    """One round of k-means: each centre goes to the mean of the weights, by the attention that they give it."""
    total, seen = torch.stack(_each(_sums, parts, centres, factor)).sum(0)
    return torch.where(seen > UNSEEN, total / seen.clamp_min(UNSEEN), centres)


def _attention(values: Any, centres: Any, factor: Any) -> Any:
    """[n], [k] -> [n, k], the rows of which add up to 1."""
    return (factor * (values[:, None] - centres).square()).softmax(1)


def _sums(values: Any, centres: Any, factor: Any) -> Any:
    """[2, k]: the weights times their attention, and the attention, summed."""
    found = _attention(values, centres, factor)
    return torch.stack([values @ found, found.sum(0)])


def _mixed(values: Any, centres: Any, factor: Any) -> Any:
    return _attention(values, centres, factor) @ centres


def _each(function: Any, parts: Sequence[Any], *more: Any) -> list[Any]:
    """`function` of each part; of several parts, no attention is kept for the backward pass."""
    if len(parts) == 1:
        return [function(parts[0], *more)]
    return [checkpoint(function, p, *more, use_reentrant=False, preserve_rng_state=False) for p in parts]
