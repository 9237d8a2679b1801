"""Weight and channel pruning, soft: the training itself decides which weights go.

A parametrization learns what stays open, a penalty asks for little to be, and `close_gates` makes plain masks of what
was learned. There are two: gates that are open with a learned probability (`gate`: hard-concrete, Louizos et al., ICLR
2018), and a magnitude learned for each layer below which weights are zero (`threshold`: soft threshold
reparametrization, Kusupati et al., ICML 2020, counted as Azarian et al. 2020 do).

    gate(module)
    fit(module, data, settings, penalty=l0(0.1))
    close_gates(module)
    fit(module, data, settings)
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.utils import parametrize

from ..errors import DataError
from ..train.loop import Penalty
from ..train.module import GraphModule
from .gradual import cubic
from .layers import Weights, weights_of
from .prune import Mask, mask_of, require_some, require_unshared, zeros

SHARPNESS = 2 / 3
"""The temperature of the relaxed coin flips: beta in Louizos et al."""
LOW, HIGH = -0.1, 1.1
"""What they are stretched to before they are clipped to 0..1, so that gates can be exactly 0 and 1: gamma, zeta."""
PACE = 100.0
"""Gates learn so many times as fast as weights: an optimizer that moves weights by thousandths would take thousands of
steps to close a gate, whose logarithm of odds goes from 2 to below 0."""
FLOOR = -7.0
"""Where the logit of a threshold starts: at a thousandth of the largest weight of its layer."""
EDGE = 0.1
"""How sharply weights count as being above the threshold: as a part of the root of their mean square."""


class Gates(nn.Module):  # type: ignore[misc]
    """A parametrization: weights times gates in 0..1, tossed in training, at their middle otherwise."""

    def __init__(self, shape: tuple[int, ...], size: int, start: float) -> None:
        """
        Args:
            shape: of the gates, of as many dimensions as the weights, 1 where they share a gate.
            size: how many weights there are.
            start: the probability that a gate is open at first.
        """
        super().__init__()
        self.shape, self.each = shape, size // math.prod(shape)
        odds = math.log(start / (1 - start)) + SHARPNESS * math.log(-LOW / HIGH)
        # Of one dimension: no decay of weights draws them to an even chance.
        self.odds = nn.Parameter(torch.full((math.prod(shape),), odds / PACE))

    def forward(self, weights: Any) -> Any:
        odds = (PACE * self.odds).reshape(self.shape)
        if self.training:
            toss = torch.rand(odds.shape, device=odds.device).clamp(1e-6, 1 - 1e-6)
            odds = (odds + toss.logit()) / SHARPNESS
        gates = (odds.sigmoid() * (HIGH - LOW) + LOW).clamp(0, 1)
        # Never -0.0.
        return torch.where(gates > 0, weights * gates, 0.0)

    def kept(self, weights: Any) -> Any:
        """How many weights are expected not to be zero, [], differentiable: of `weights` nothing is used."""
        return self.each * (PACE * self.odds - SHARPNESS * math.log(-LOW / HIGH)).sigmoid().sum()


class Threshold(nn.Module):  # type: ignore[misc]
    """A parametrization: weights brought nearer to zero by a learned threshold, those below it to zero."""

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor([FLOOR / PACE], device=weights.device))
        self.register_buffer("unit", weights.abs().max())
        """The threshold's upper bound: the largest weight at the start."""

    def forward(self, weights: Any) -> Any:
        above = weights.abs() - self._value()
        return torch.where(above > 0, weights.sign() * above, 0.0)

    def kept(self, weights: Any) -> Any:
        """How many weights lie above the threshold, [], differentiable by the threshold alone: close ones count in
        part."""
        fixed = weights.detach().abs()
        edge = EDGE * fixed.square().mean().sqrt()
        return ((fixed - self._value()) / (edge + torch.finfo(fixed.dtype).tiny)).sigmoid().sum()

    def _value(self) -> Any:
        return self.unit * (PACE * self.logit).sigmoid()


def gate(
    module: GraphModule,
    layers: Collection[str] = ("*",),
    *,
    per: Literal["weight", "channel"] = "weight",
    start: float = 0.9,
) -> None:
    """Give each weight, or each output channel, a gate that training opens or closes. Train with the penalty `l0`.

    Args:
        module: of `to_module` or `quantization_aware`; changed in place.
        layers: names of layers with weights, or patterns with * and ?.
        per: `channel` closes filters and neurons whole; their biases stay, for prune_channels.py or lossless.py to
            carry on.
        start: the probability that a gate is open at first, above 0 and below 1.

    Raises: DataError for a start out of range, a layer that does not exist, is shared, or has a mask, gates or a
        threshold already; then nothing is gated.
    """
    if not 0 < start < 1:
        raise DataError("gate, start", f"is {start}", "above 0 and below 1")
    if per not in ("weight", "channel"):
        raise DataError("gate, per", f"is {per!r}", "weight, channel")
    for w in _free(module, layers, "gate, layers"):
        value = w.value()
        shape = tuple(n if d == w.axis or per == "weight" else 1 for d, n in enumerate(value.shape))
        w.parametrize(Gates(shape, value.numel(), start).to(value.device))


def threshold(module: GraphModule, layers: Collection[str] = ("*",)) -> None:
    """Give each layer a learned threshold. Train with the penalty `l0`, which raises it where the loss allows.

    Args:
        module, layers: see `gate`.

    Raises: DataError for a layer that does not exist, is shared, or has a mask, gates or a threshold already; then
        none is given.
    """
    for w in _free(module, layers, "threshold, layers"):
        w.parametrize(Threshold(w.value()))


def l0(density: float, strength: float = 30.0, end: float = 0.75) -> Penalty:
    """The penalty of open gates and of weights above thresholds: strength * (the part of them that is left - the part
    that may be), or 0 where that is negative. They are counted over all layers together, so that the training finds
    where weights are needed. What may be left falls from all of them to `density` along gradual.cubic.

    Args:
        density: the part of the weights that may be left in the end, at least 0 and below 1. With 0 the strength alone
            decides.
        strength: how much loss it may cost to remove all weights. A high one reaches the density, a low one gives in
            where the loss of the data grows faster.
        end: when `density` is reached: the part of the training that is done, above 0, at most 1.

    Raises: DataError for values out of range; the penalty raises it for a module without gates and thresholds.
    """
    for key, value, fine, allowed in (
        ("density", density, 0 <= density < 1, "at least 0 and below 1"),
        ("strength", strength, 0 <= strength < math.inf, "0 or more"),
        ("end", end, 0 < end <= 1, "above 0, at most 1"),
    ):
        if not fine:
            raise DataError(f"l0, {key}", f"is {value}", allowed)

    def penalty(module: Any, part: float) -> Any:
        kept, total = _counted(module)
        return strength * (kept / total - cubic(1.0, density, min(part / end, 1.0))).clamp_min(0)

    return penalty


def kept_part(module: GraphModule) -> float:
    """The part of the weights with gates or thresholds that is expected to be left, as `l0` counts it."""
    kept, total = _counted(module)
    return float(kept.detach()) / total


def close_gates(module: GraphModule) -> dict[str, float]:
    """Take gates and thresholds off, leaving the weights as eval() has them with plain masks on their zeros (prune.py):
    training then tunes what is left.

    Returns: the sparsity of each layer that had them.
    Raises: DataError where nothing would be left of a layer, or it is shared by now; then nothing changes.
    """
    found = _gated(module)
    for w, _ in found:
        require_unshared(w)
    training = module.training
    module.eval()
    closed = [w.value().clone() for w, _ in found]
    module.train(training)
    for (w, _), value in zip(found, closed, strict=True):
        require_some(value != 0, w)
    for (w, _), value in zip(found, closed, strict=True):
        parametrize.remove_parametrizations(w.holder, w.attribute, leave_parametrized=False)
        w.original().data.copy_(value)
        w.parametrize(Mask(value != 0))
    return {w.name: zeros(w) for w, _ in found}


def _free(module: GraphModule, layers: Collection[str], option: str) -> list[Weights]:
    chosen = weights_of(module, layers, option)
    for w in chosen:
        require_unshared(w)
        if _step(w) is not None:
            raise DataError(f"layer {w.name!r}", "has gates or a threshold already", "", "close_gates takes them off")
        if mask_of(w) is not None:
            remedy = "Start from the graph: to_module(to_graph(module))"
            raise DataError(f"layer {w.name!r}", "has a mask already", "", remedy)
    return chosen


def _step(w: Weights) -> Gates | Threshold | None:
    return next((step for step in w.steps() if isinstance(step, Gates | Threshold)), None)


def _gated(module: GraphModule) -> list[tuple[Weights, Gates | Threshold]]:
    return [(w, step) for w in weights_of(module) if (step := _step(w)) is not None]


def _counted(module: GraphModule) -> tuple[Any, int]:
    """(weights that are left, a scalar tensor; how many there are)."""
    kept, total = [], 0
    for w, step in _gated(module):
        kept.append(step.kept(w.original()))
        total += w.original().numel()
    if not kept:
        raise DataError("l0", "the module has no gates and no threshold", "", "gate(module) or threshold(module) first")
    return torch.stack(kept).sum(), total
