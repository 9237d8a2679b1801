"""Parameter sharing, soft: weights gather around a few values because a mixture of Gaussians is their prior (Nowlan and
Hinton, "Simplifying neural networks by soft weight-sharing", 1992; Ullrich et al., ICLR 2017).

The loss grows by the negative logarithm of the density of the weights. Components follow the weights by a round of
expectation maximization at each step, while the gradient draws the weights to them. One component stays at zero with a
share of the weights that is given beforehand: those that it wins are pruned.

    mix(module, 16, zeros=0.5)
    fit(module, data, settings, penalty=mixture_prior())
    harden(module)
    fit(module, data, settings)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import DataError
from ..train.loop import Penalty
from ..train.module import GraphModule
from .layers import by_layer, weights_of
from .share import Codebook, Soft, k_means, nearest, sharable

WIDE, NARROW, LEAST = 2.0, 0.1, 0.02
"""A component's standard deviation is at most the first of these at the start and the second at the end, and at least
the third, in roots of the mean square of the weights' distances to their nearest centre. Left alone, the likeliest
components of weights that lie around zero all have their mean there, one wider than the other: Ullrich et al. put a
prior on the variances."""
SMALLEST = 1e-12
"""No deviation is smaller: the squares of distances in units of it must stay finite."""
PORTION = 1 << 20
"""Weights times components that are held at a time, 4 MB each."""
RARE = 1e-6
"""A component is taken to have at least this share of the weights: it can come back."""


class Mixture(Soft):
    """A parametrization that leaves weights as they are, and knows the mixture that is their prior. Weights that are
    zero at the start stay zero, and count for nothing."""

    def __init__(self, weights: Any, entries: int, zeros: float) -> None:
        """
        Args:
            weights: float32, as they are at the start.
            entries: components, that at zero included.
            zeros: the share of the weights that the component at zero has, in 0..1; 0 for none.
        """
        super().__init__()
        self.zeros = zeros
        self.register_buffer("filled", weights != 0)
        values = weights[self.filled]
        free = entries - int(values.numel() < weights.numel() or zeros > 0)
        centres = torch.tensor(k_means(values.cpu().numpy(), free) if values.numel() else [0.0]).to(values)
        if zeros > 0:
            centres = torch.cat([torch.zeros_like(centres[:1]), centres])
        self.register_buffer("means", centres)
        """float32 [components]; the first is 0 and stays there if `zeros` is above 0."""
        self.register_buffer("unit", _unit(values, centres))
        """The root of the mean square of the weights' distances to their nearest centre. Not 0 where they lie on it."""
        self.register_buffer("deviations", torch.full_like(centres, WIDE) * self.unit)
        self.register_buffer("shares", torch.full_like(centres, (1 - zeros) / max(1, len(centres) - (zeros > 0))))
        if zeros > 0:
            self.shares[0] = zeros
        self.register_buffer("most", torch.tensor(WIDE).to(values))
        """Of `deviations`, in units."""

    def forward(self, weights: Any) -> Any:
        """The weights, those aside that were zero."""
        return torch.where(self.filled, weights, 0.0)

    def surprise(self, weights: Any) -> Any:
        """The sum of -log density over the weights, in units of the layer, []: differentiable by the weights. In
        training the components then move to where the weights are."""
        values = weights[self.filled]
        if not values.numel():
            return values.sum()
        with torch.no_grad():
            found = 0.5 * math.log(2 * math.pi) * values.numel()
            moments = torch.zeros(3, len(self.means)).to(values)
            slopes = []
            for part in values.split(max(1, PORTION // len(self.means))):
                far = (part[:, None] - self.means) / self.deviations
                logs = (self.shares / (self.deviations / self.unit)).log() - 0.5 * far.square()
                total = torch.logsumexp(logs, 1)
                held = (logs - total[:, None]).exp()
                slopes.append((held * far / self.deviations).sum(1))
                moments += torch.stack([held.sum(0), part @ held, part.square() @ held])
                found = found - total.sum()
            slope = torch.cat(slopes)
            if self.training:
                self._move(moments[0], moments[1], moments[2], len(values))
        # Worth `found`, with the gradient worked out above: that of autograd would hold all of it a second time.
        return found + (values * slope).sum() - (values * slope).sum().detach()

    def hard(self, weights: Any, axis: int) -> Codebook:
        """The codebook in which each weight has the mean of the component that most likely made it."""
        found = []
        for part in weights.flatten().split(max(1, PORTION // len(self.means))):
            far = (part[:, None] - self.means) / self.deviations
            found.append(((self.shares / self.deviations).log() - 0.5 * far.square()).argmax(1))
        index, filled = torch.cat(found).reshape(weights.shape).cpu(), self.filled.cpu()
        own = self.zeros > 0
        zero = own or not bool(filled.all())
        # An entry that no weight has would only make the grid coarser.
        used = torch.bincount(index[filled], minlength=len(self.means)) > 0
        means = torch.where(used, self.means.cpu(), 0.0)[int(own) :]
        return Codebook(means[None].clone(), torch.where(filled, index + int(zero and not own), 0), zero, axis)

    def _move(self, seen: Any, sums: Any, squares: Any, count: int) -> None:
        """A round of expectation maximization, from what components hold of `count` weights: how many, their sum and
        the sum of their squares."""
        some = seen.clamp_min(RARE * count)
        means = torch.where(seen > RARE * count, sums / some, self.means)
        if self.zeros > 0:
            means[0] = 0.0
        spread = (squares - 2 * means * sums + means.square() * seen) / some
        self.means.copy_(means)
        self.deviations.copy_(spread.clamp_min(0).sqrt().clamp(LEAST * self.unit, self.most * self.unit))
        shares = some / some.sum()
        if self.zeros > 0:
            rest = shares[1:] / shares[1:].sum() * (1 - self.zeros)
            shares = torch.cat([torch.full_like(shares[:1], self.zeros), rest])
        self.shares.copy_(shares)


def mix(module: GraphModule, entries: int | Mapping[str, int], *, zeros: float | Mapping[str, float] = 0.0) -> None:
    """Give layers a mixture as prior, its components where k-means puts centres. Train with `mixture_prior`, then
    `soft_share.harden`.

    Leave `patience` and `keep_best` of `fit` off: they could return to weights that are far from their components.

    Args:
        module: of `quantization_aware`, or of `to_module(simplify(graph))`; changed in place.
        entries: components, and so values that the weights of a layer are to take; see `share.share`.
        zeros: the share of the weights of a layer that the component at zero has, at least 0 and below 1; for all
            layers of `entries`, or by name or pattern, others having 0: no component stays at zero.

    Raises: DataError for values out of range, and as `share.share`; then nothing changes.
    """
    chosen = sharable(module, entries)
    parts = by_layer(module, "mix, zeros", zeros)
    for w, part in parts:
        if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part < 1:
            raise DataError(f"mix, zeros of {w.name!r}", f"is {part!r}", "at least 0 and below 1")
        if isinstance(zeros, Mapping) and part and w.constant not in {c.constant for c, _, _ in chosen}:
            raise DataError(f"mix, zeros of {w.name!r}", "is given for a layer without entries", "layers of `entries`")
    by_zeros = {w.constant: part for w, part in parts}
    made = [(w, Mixture(w.value(), k, by_zeros.get(w.constant, 0.0))) for w, k, _ in chosen]
    for w, mixture in made:
        w.parametrize(mixture)


def mixture_prior(strength: float = 10.0, end: float = 0.75) -> Penalty:
    """The penalty: strength times the mean over all weights with a mixture of -log density.

    Args:
        strength: how much loss a nat a weight costs, 0 or more.
        end: when components may be as narrow as they get: the part of the training that is done, above 0, at most 1.

    Raises: DataError for values out of range; the penalty raises it for a module without mixtures.
    """
    for key, value, fine, allowed in (
        ("strength", strength, 0 <= strength < math.inf, "0 or more"),
        ("end", end, 0 < end <= 1, "above 0, at most 1"),
    ):
        if not fine:
            raise DataError(f"mixture prior, {key}", f"is {value}", allowed)

    def penalty(module: Any, part: float) -> Any:
        found = [(w, step) for w in weights_of(module) for step in w.steps() if isinstance(step, Mixture)]
        if not found:
            raise DataError("mixture prior", "the module has no mixture", "", "mix(module, entries) first")
        total, count = 0.0, 0
        for w, mixture in found:
            mixture.most.fill_(WIDE * (NARROW / WIDE) ** min(part / end, 1.0))
            total = total + mixture.surprise(getattr(w.holder, w.attribute))
            count += int(mixture.filled.sum())
        return strength * total / max(1, count)

    return penalty


def _unit(values: Any, centres: Any) -> Any:
    """The root of the mean square of distances to the nearest centre, []; not 0 where weights lie on their centres."""
    if not values.numel():
        return torch.ones(()).to(values)
    exact, ascending = values.double(), centres.double().sort().values
    index = torch.as_tensor(nearest(exact.cpu().numpy(), ascending.cpu().numpy()), device=values.device)
    far = (exact - ascending[index]).square().mean().sqrt()
    return (torch.maximum(far, LEAST * exact.square().mean().sqrt()) + SMALLEST).to(values)
