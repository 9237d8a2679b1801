"""Weight pruning, hard: the weights of least magnitude become zero and stay so (Han et al., NeurIPS 2015).

A mask is a torch parametrization of a layer's weights: training goes on around it, whatever the loop, in floats or in
the device's integers, and codebooks (share.py) go on top of it. Weights are looked at as rows [output channels][the
rest], in the order in which they lie in flash.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn

from ..errors import DataError
from ..graph import Graph
from ..train.module import GraphModule
from .layers import Weights, by_layer, weights_of
from .share import Shared

Scope = Literal["layer", "global", "lamp"]
Sparsity = float | Mapping[str, float]
"""The part of the weights that becomes zero: of all layers with weights, or by the name of a layer or a pattern, the
later ones winning and the others being left alone."""
SINGLE = (1, 1)


class Mask(nn.Module):  # type: ignore[misc]
    """A parametrization: weights where `mask` is true, 0 elsewhere."""

    def __init__(self, mask: Any) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weights: Any) -> Any:
        """[...] float32 -> the same with zeros (never -0.0)."""
        return torch.where(self.mask, weights, 0.0)


def prune(
    module: GraphModule, sparsity: Sparsity, *, scope: Scope = "layer", block: tuple[int, int] = SINGLE
) -> dict[str, float]:
    """Mask the weights of least magnitude. Those that are masked already stay so, and count: call it again for more.

    Args:
        module: of `to_module` or `quantization_aware`; changed in place.
        sparsity: the part of the weights that becomes zero, at least 0 and below 1.
        scope: `layer` takes that part of each layer. `global` takes that part of all weights together, the least
            magnitudes first. `lamp` does so by scores of layer-adaptive magnitude (Lee et al., ICLR 2021), which empty
            no layer and do not depend on a layer's scale: with batch norms folded, scales say little.
        block: (output channels, weights in a row) that are zero together, judged by their mean magnitude; those at the
            end of a row or column that does not divide are smaller.

    Returns: the sparsity of each layer now.
    Raises: DataError for a sparsity or block out of range, a layer that does not exist or is shared already, and where
        nothing would be left of a layer; then nothing is masked.
    """
    chosen = prepared(module, sparsity, block)
    if scope not in get_args(Scope):
        raise DataError("prune, scope", f"is {scope!r}", ", ".join(get_args(Scope)))
    scores = [block_means(rows(w.value().abs(), w.axis), block) for w, _ in chosen]
    if scope == "layer":
        kept = [all_but_least(s, count(s, part)) for s, (_, part) in zip(scores, chosen, strict=True)]
    else:
        parts = {part for _, part in chosen}
        if len(parts) > 1:
            found = ", ".join(map(str, sorted(parts)))
            raise DataError("prune, sparsity", f"is {found} for layers ranked together", "one for all of them")
        scores = [_lamp(s) for s in scores] if scope == "lamp" else scores
        kept = _ranked_together(scores, parts.pop()) if parts else []
    masks = [_narrowed(w, unrolled(k, w.value(), w.axis, block)) for k, (w, _) in zip(kept, chosen, strict=True)]
    for mask, (w, _) in zip(masks, chosen, strict=True):
        require_some(mask, w)
    for mask, (w, _) in zip(masks, chosen, strict=True):
        put(w, mask)
    return {w.name: zeros(w) for w, _ in chosen}


def prune_n_of_m(module: GraphModule, n: int, m: int, layers: Collection[str] = ("*",)) -> dict[str, float]:
    """Keep the n weights of greatest magnitude of every m that follow each other in a row (Mishra et al. 2021); of a
    rest shorter than m at the end of a row, n at most.

    Returns: the sparsity of each layer now.
    Raises: DataError for n and m other than 1 <= n < m, and as `prune`.
    """
    if not 1 <= n < m:
        raise DataError("prune_n_of_m", f"n is {n} and m {m}", "1 <= n < m")
    chosen = weights_of(module, layers, "prune_n_of_m, layers")
    for w in chosen:
        require_unshared(w)
    for w in chosen:
        flat = rows(w.value().abs(), w.axis)
        # Behind the end of a row: less than any weight.
        padded = nn.functional.pad(flat, (0, -flat.shape[1] % m), value=-1.0)
        groups = padded.reshape(flat.shape[0], -1, m)
        order = groups.argsort(dim=2, descending=True, stable=True)
        kept = torch.zeros_like(groups, dtype=torch.bool).scatter_(2, order[..., :n], True)
        kept = kept.reshape(padded.shape)[:, : flat.shape[1]]
        put(w, _narrowed(w, unrolled(kept, w.value(), w.axis, SINGLE)))
    return {w.name: zeros(w) for w in chosen}


def keep_zeros(module: GraphModule, layers: Collection[str] = ("*",)) -> dict[str, float]:
    """Mask the weights that are zero: a graph pruned before, as a module again, stays pruned while it trains.

    Returns: the sparsity of each layer. Layers without zeros get no mask.
    Raises: DataError for a layer that does not exist, is shared already, or is nothing but zeros.
    """
    chosen = weights_of(module, layers, "keep_zeros, layers")
    for w in chosen:
        require_unshared(w)
        require_some(w.value() != 0, w)
    for w in chosen:
        mask = w.value() != 0
        if not bool(mask.all()):
            put(w, mask)
    return {w.name: zeros(w) for w in chosen}


def prune_iteratively(
    module: GraphModule,
    sparsity: Sparsity,
    rounds: int,
    train: Callable[[int], Any],
    *,
    scope: Scope = "layer",
    block: tuple[int, int] = SINGLE,
) -> dict[str, float]:
    """Prune and fine-tune in turn; each round removes the same part of the weights that are left (Han et al. 2015;
    Frankle and Carbin, ICLR 2019).

    Args:
        train: fine-tunes `module` in place, with `train.loop.fit` for instance; called with the round, 1..rounds. A
            `fit` with a checkpoint file a round makes the whole resumable, masks included.
        sparsity, scope, block: see `prune`.

    Returns: the sparsity of each layer.
    Raises: DataError for rounds below 1, and as `prune`.
    """
    if rounds < 1:
        raise DataError("prune_iteratively, rounds", f"is {rounds}", "1 or more")
    prepared(module, sparsity, block)
    found: dict[str, float] = {}
    for number in range(1, rounds + 1):
        found = prune(module, _after(sparsity, number / rounds), scope=scope, block=block)
        train(number)
    return found


def sparsity_of(graph: Graph) -> dict[str, float]:
    """The part of the weights that is zero, of each layer with constant weights, in floats or in integers."""
    found = {}
    for node in graph.nodes:
        data = graph.tensors[node.inputs[1]].data if node.op.weighted else None
        if data is not None:
            found[node.name] = float((data == 0).mean())
    return found


def _after(sparsity: Sparsity, done: float) -> Sparsity:
    if isinstance(sparsity, Mapping):
        return {name: 1 - float((1 - part) ** done) for name, part in sparsity.items()}
    return 1 - float((1 - sparsity) ** done)


# ---- what gradual.py needs as well --------------------------------------------------------------------------------


def prepared(module: GraphModule, sparsity: Sparsity, block: tuple[int, int]) -> list[tuple[Weights, float]]:
    """The layers with the sparsity that each is to get. Raises DataError as `prune`."""
    if len(block) != 2 or not all(isinstance(b, int) and b >= 1 for b in block):
        raise DataError("prune, block", f"is {block}", "(output channels, weights in a row), 1 or more each")
    chosen = by_layer(module, "prune, sparsity", sparsity)
    for w, part in chosen:
        if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part < 1:
            raise DataError(f"prune, sparsity of {w.name!r}", f"is {part!r}", "at least 0 and below 1")
        require_unshared(w)
    return chosen


def require_unshared(w: Weights) -> None:
    """Raises DataError for weights that have a codebook: a mask behind it would add a value of its own."""
    if any(isinstance(step, Shared) for step in w.steps()):
        raise DataError(f"layer {w.name!r}", "shares its weights already", "", "Prune before sharing")


def require_some(mask: Any, w: Weights) -> None:
    """Raises DataError for a mask that leaves nothing."""
    if not bool(mask.any()):
        remedy = "Ask for less, leave this layer out, or remove it from the model"
        raise DataError(f"prune, layer {w.name!r}", f"none of its {mask.numel()} weights would be left", "", remedy)


def put(w: Weights, mask: Any) -> None:
    """Give the weights this mask, in place of the one that they have."""
    found = mask_of(w)
    if found is None:
        w.parametrize(Mask(mask))
    else:
        found.mask.copy_(mask)


def mask_of(w: Weights) -> Mask | None:
    return next((step for step in w.steps() if isinstance(step, Mask)), None)


def zeros(w: Weights) -> float:
    """The part of the weights that is zero."""
    return float((w.value() == 0).double().mean())


def rows(values: Any, axis: int) -> Any:
    """[...] -> [output channels][the rest]."""
    return values.movedim(axis, 0).flatten(1)


def block_means(values: Any, block: tuple[int, int]) -> Any:
    """[rows][columns] -> the mean of each block, [blocks down][blocks along]."""
    if tuple(block) == SINGLE:
        return values
    down, along = -values.shape[0] % block[0], -values.shape[1] % block[1]

    def sums(x: Any) -> Any:
        x = nn.functional.pad(x, (0, along, 0, down))
        return x.reshape(x.shape[0] // block[0], block[0], x.shape[1] // block[1], block[1]).sum((1, 3))

    return sums(values) / sums(torch.ones_like(values))


def count(scores: Any, part: float) -> int:
    """How many blocks a part of them is."""
    return round(part * int(scores.numel()))


def all_but_least(scores: Any, least: int) -> Any:
    """bool, shaped like `scores`: all but so many of the least ones; of equal ones the first go first."""
    kept = torch.ones(scores.numel(), dtype=torch.bool, device=scores.device)
    kept[scores.flatten().argsort(stable=True)[:least]] = False
    return kept.reshape(scores.shape)


def unrolled(kept: Any, like: Any, axis: int, block: tuple[int, int]) -> Any:
    """A bool for each block -> a mask of the shape of the weights `like`."""
    shape = like.movedim(axis, 0).shape
    wide = kept.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
    return wide[: shape[0], : shape[1:].numel()].reshape(shape).movedim(0, axis).contiguous()


def _narrowed(w: Weights, mask: Any) -> Any:
    """`mask` without what an earlier one has removed: those weights are not known any more."""
    found = mask_of(w)
    return mask if found is None else mask & found.mask


def _lamp(magnitudes: Any) -> Any:
    """Each square as a part of the sum of all squares that are not less. In float64, for many small numbers are
    added."""
    order = magnitudes.flatten().argsort(stable=True, descending=True)
    squares = magnitudes.flatten()[order].double().square()
    scores = torch.zeros_like(squares)
    scores[order] = squares / squares.cumsum(0).clamp_min(torch.finfo(squares.dtype).tiny)
    return scores.reshape(magnitudes.shape)


def _ranked_together(scores: Sequence[Any], part: float) -> list[Any]:
    flat = torch.cat([s.flatten() for s in scores])
    pieces = all_but_least(flat, count(flat, part)).split([s.numel() for s in scores])
    return [p.reshape(s.shape) for p, s in zip(pieces, scores, strict=True)]
