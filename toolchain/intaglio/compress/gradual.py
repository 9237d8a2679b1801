"""Weight pruning, soft: sparsity grows while the model trains, and weights that turn out to matter come back.

Sparsity follows the cubic schedule of Zhu and Gupta (2017). At each update a part of the weights that magnitude would
keep makes room for removed ones whose gradient is largest (RigL, Evci et al., ICML 2020); that part falls to nothing
at the end.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from ..errors import DataError
from ..train.module import GraphModule
from .layers import Weights
from .prune import (
    SINGLE,
    Mask,
    Sparsity,
    all_but_least,
    block_means,
    count,
    mask_of,
    prepared,
    put,
    require_some,
    rows,
    unrolled,
    zeros,
)  # fmt: skip


class GradualMask(Mask):
    """A Mask that sees the gradient of all weights, removed ones included, and counts its updates.

    The count is in the state_dict, so that a training that resumes goes on with the schedule where it was.
    """

    def __init__(self, mask: Any) -> None:
        super().__init__(mask)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.gradient: Any = None
        """Of the last backward pass, shaped like the weights."""
        self.watched = True

    def forward(self, weights: Any) -> Any:
        found = super().forward(weights)
        if self.watched and found.requires_grad:
            found.register_hook(self._see)
        return found

    def _see(self, gradient: Any) -> None:
        self.gradient = gradient.detach()


class Gradual:
    """Prunes while `fit` trains: `fit(module, ..., after_step=Gradual(module, 0.9))`.

    The last update is at `end`, what is left of the training is fine-tuning. Leave `patience` and `keep_best` of `fit`
    off: they could return to an epoch with fewer zeros.
    """

    def __init__(
        self,
        module: GraphModule,
        sparsity: Sparsity,
        *,
        initial: float = 0.0,
        begin: float = 0.0,
        end: float = 0.75,
        updates: int = 50,
        regrowth: float = 0.2,
        block: tuple[int, int] = SINGLE,
    ) -> None:
        """Give the layers of `module` their masks, so far of nothing but the zeros that they have.

        Args:
            module: of `to_module` or `quantization_aware`; changed in place.
            sparsity, block: see `prune.prune`.
            initial: the sparsity that the schedule starts from, if the weights have no more zeros than that.
            begin, end: the parts of the training, in 0..1, at which the schedule starts and ends.
            updates: how often masks change in between.
            regrowth: of the weights that are kept, the part that comes back by gradient: this at first, falling to 0
                along a cosine.

        Raises: DataError for values out of range, and as `prune.prune`.
        """
        for key, value, fine, allowed in (
            ("initial", initial, 0 <= initial < 1, "at least 0 and below 1"),
            ("begin", begin, 0 <= begin < 1, "at least 0 and below 1"),
            ("end", end, begin < end <= 1, "above begin, at most 1"),
            ("updates", updates, updates >= 1, "1 or more"),
            ("regrowth", regrowth, 0 <= regrowth < 1, "at least 0 and below 1"),
        ):
            if not fine:
                raise DataError(f"gradual pruning, {key}", f"is {value}", allowed)
        self.layers = prepared(module, sparsity, block)
        for w, part in self.layers:
            if mask_of(w) is not None:
                remedy = "Start from the graph: to_module(to_graph(module))"
                raise DataError(f"gradual pruning, layer {w.name!r}", "has a mask already", "", remedy)
            scores = block_means(rows(w.value().abs(), w.axis), block)
            require_some(unrolled(all_but_least(scores, count(scores, part)), w.value(), w.axis, block), w)
        self.begin, self.end, self.updates, self.regrowth, self.block = begin, end, updates, regrowth, block
        self.starts = [min(max(initial, zeros(w)), part) for w, part in self.layers]
        for w, _ in self.layers:
            w.parametrize(GradualMask(w.value() != 0))

    def __call__(self, part: float) -> None:
        """After a step: bring the masks to where they belong when `part`, in 0..1, of the training is done."""
        along = min(max((part - self.begin) / (self.end - self.begin), 0.0), 1.0)
        # The end must be reached whatever the division leaves.
        due = math.floor(along * self.updates + 1e-9) if along < 1 else self.updates
        for (w, final), start in zip(self.layers, self.starts, strict=True):
            mask = mask_of(w)
            assert isinstance(mask, GradualMask)
            if part >= self.begin and int(mask.updates) < due:
                self._update(w, mask, cubic(start, final, due / self.updates), due / self.updates)
                mask.updates.fill_(due)
            mask.watched = self.regrowth > 0 and int(mask.updates) < self.updates
            if not mask.watched:
                mask.gradient = None

    def sparsity(self) -> dict[str, float]:
        """Of each layer, now."""
        return {w.name: zeros(w) for w, _ in self.layers}

    def _update(self, w: Weights, mask: GradualMask, sparsity: float, along: float) -> None:
        value = w.value()
        scores = block_means(rows(value.abs(), w.axis), self.block)
        least = count(scores, sparsity)
        grown = round(self.regrowth * 0.5 * (1 + math.cos(math.pi * along)) * (scores.numel() - least))
        grown = min(grown, least) if mask.gradient is not None else 0
        kept = all_but_least(scores, least + grown)
        if grown:
            wanted = block_means(rows(mask.gradient.abs(), w.axis), self.block)
            kept |= ~all_but_least(-torch.where(kept, -1.0, wanted), grown)
        new = unrolled(kept, value, w.axis, self.block)
        # What comes back starts from 0, as if it had never been there.
        w.original().data[new & ~mask.mask] = 0.0
        put(w, new)


def cubic(initial: float, final: float, along: float) -> float:
    """The sparsity when `along`, in 0..1, of the schedule is done: steep at first, where many weights do not matter."""
    return final + (initial - final) * (1 - along) ** 3
