"""Channel pruning: filters and neurons really removed, with everything that goes with them. Float Graph -> float Graph.

Li et al., ICLR 2017, for the removal of whole filters; groups of coupled channels as in dependencies.py.
"""

from __future__ import annotations

import difflib
import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from ..errors import DataError
from ..graph import Array, Graph, Node, Quant, Tensor, constant, float_model, verify
from .analyses.dependencies import Along, Dependencies, Family, dependencies
from .analyses.importance import Importance, l2

Ranking = Literal["layer", "global"]
ROUND_TO = 4
"""Channels are left in multiples of this: int8 kernels load four in one 32-bit word, and finish others one by one."""
NEAREST = 5
"""Names that the error for an unknown layer offers."""


def prune_channels(
    graph: Graph,
    ratio: float | Mapping[str, float] | None = None,
    *,
    macs: int | None = None,
    weights: int | None = None,
    importance: Importance = l2,
    ranking: Ranking = "layer",
    round_to: int = ROUND_TO,
) -> Graph:
    """A smaller graph without the least important channels. One of `ratio`, `macs` and `weights` says how many go.

    Args:
        graph: a float graph, batch norms and all.
        ratio: the part of the channels that is removed, in [0, 1); or one for each layer that is named, by its name or
            by a pattern with * and ? (others keep theirs). Layers that a residual or a depthwise pair couples have one
            ratio. Channels that the graph's inputs and outputs fix do not count.
        macs, weights: remove as few channels as bring the graph to so many multiply-accumulates or constants.
        importance: scores the groups of channels; see importance.py.
        ranking: `layer` takes the same part of every layer; `global` compares scores across layers.
        round_to: each layer is left a multiple of so many channels, and so many at least.

    Raises: DataError for a ratio outside [0, 1), a layer that is not there or cannot be cut, a target that would take
        a whole layer, and for data that `importance` cannot use.
    """
    groups = choose_channels(
        graph, ratio, macs=macs, weights=weights, importance=importance, ranking=ranking, round_to=round_to
    )
    return remove_channels(graph, groups)


def choose_channels(
    graph: Graph,
    ratio: float | Mapping[str, float] | None = None,
    *,
    macs: int | None = None,
    weights: int | None = None,
    importance: Importance = l2,
    ranking: Ranking = "layer",
    round_to: int = ROUND_TO,
) -> frozenset[int]:
    """The groups (see dependencies.py) that `prune_channels` with the same arguments removes."""
    if not float_model(graph):
        raise DataError(f"graph {graph.name}", "is quantized", "a float graph", "Remove channels before quantization")
    if sum(v is not None for v in (ratio, macs, weights)) != 1:
        raise DataError("prune_channels", "takes one of ratio, macs and weights")
    if round_to < 1:
        raise DataError("round_to", f"is {round_to}", "1 or more")
    if ranking not in ("layer", "global"):
        raise DataError("ranking", f"is {ranking!r}", "layer, global")
    found = dependencies(graph)
    if not found.count:
        why = "has no channels that can be removed: all are inputs or outputs, or an operator needs all of them"
        remedy = "Weights that are computed from int8 or float16 become floats with floats.simplify.simplify"
        raise DataError(f"graph {graph.name}", why, "", remedy)
    ratios = _ratios(graph, found, ratio) if ratio is not None else {}
    scores = importance(graph, found)
    orders = [_order(f, scores, round_to) for f in found.families]
    if isinstance(ratio, Mapping) or (ratio is not None and ranking == "layer"):
        return frozenset(
            g for i, part in ratios.items() for g in orders[i][: _nearest(found.families[i], part, round_to)]
        )
    chunks = _chunks(found.families, orders, scores, ranking, round_to)
    if isinstance(ratio, float | int):
        return _first(chunks, round(ratio * sum(len(f.groups) for f in found.families)))
    return _until(graph, found, chunks, macs, weights)


def remove_channels(graph: Graph, groups: Collection[int]) -> Graph:
    """The graph without these groups of channels, as `dependencies(graph)` numbers them. Outputs keep their shapes.

    What the removed channels gave to others is gone: where their weights are zero on either side (and the
    activations between take 0 to 0), the outputs stay the same.

    Raises: DataError for a group that is not there, or when a layer would have no channel left.
    """
    found = dependencies(graph)
    unknown = [g for g in groups if not 0 <= g < found.count]
    if unknown:
        raise DataError("groups", f"holds {unknown[0]}", f"0 to {found.count - 1}")
    stays = np.ones(found.count + 1, bool)  # the last is for -1: what no group holds
    stays[list(groups)] = False
    for axis in (a for axes in found.tensors.values() for a in axes):
        if not stays[axis.groups].any():
            layers = next(f.layers for f in found.families if axis.groups[0] in f.groups)
            said = f"would lose all of its channels, or all that {axis.tensor} takes of them"
            raise DataError(f"layer {', '.join(layers)}", said, "", "Remove fewer: a layer is left one at least")
    kept = {n: {a.axis: np.flatnonzero(stays[a.groups]) for a in axes} for n, axes in found.tensors.items()}
    tensors = {n: _shrunk(t, kept.get(n, {})) for n, t in graph.tensors.items()}
    nodes: list[Node] = []
    for node in graph.nodes:
        op = node.op.fitted([kept.get(n, {}) for n in node.inputs], [tensors[n] for n in node.outputs])
        nodes.append(replace(node, op=op))
    return verify(graph.with_nodes(nodes, tensors), "float")


def count_weights(graph: Graph) -> int:
    """Elements of all constants."""
    return sum(t.size for t in graph.tensors.values() if t.is_const)


def _shrunk(t: Tensor, kept: Mapping[int, Array]) -> Tensor:
    if all(len(left) == t.shape[axis] for axis, left in kept.items()):
        return t
    shape = tuple(len(kept[d]) if d in kept else n for d, n in enumerate(t.shape))
    quant = t.quant  # of a float model that came with marks (see DESIGN.md, NCHW models)
    if quant is not None and quant.axis is not None and not quant.per_tensor and quant.axis in kept:
        scale, zero = (tuple(v[i] for i in kept[quant.axis]) for v in (quant.scale, quant.zero_point))
        quant = Quant(scale, zero, quant.axis)
    if t.data is None:
        return replace(t, shape=shape, quant=quant)
    data = t.data
    for axis, left in kept.items():
        data = data.take(left, axis)
    return constant(t.name, data, quant)


# ---- how many, and which ------------------------------------------------------------------------------------------


def _ratios(graph: Graph, found: Dependencies, ratio: float | Mapping[str, float]) -> dict[int, float]:
    """The ratio of each family that is cut, by its number."""
    for value in ratio.values() if isinstance(ratio, Mapping) else (ratio,):
        if isinstance(value, bool) or not isinstance(value, float | int) or not 0 <= value < 1:
            raise DataError("ratio", f"is {value!r}", "a number in [0, 1)", "1 would remove whole layers")
    if not isinstance(ratio, Mapping):
        return dict.fromkeys(range(len(found.families)), float(ratio))
    wanted: dict[int, tuple[float, str]] = {}
    for pattern, value in ratio.items():
        names = layers_named(graph, pattern)
        families = [i for i, f in enumerate(found.families) if names.intersection(f.layers)]
        if not families:
            able = difflib.get_close_matches(pattern, _prunable(found), NEAREST, 0.0)
            why = "its channels are the graph's inputs or outputs, or an operator needs all of them"
            raise DataError("ratio", f"{pattern!r} names a layer that cannot be cut: {why}", ", ".join(able))
        for i in families:
            other, said = wanted.setdefault(i, (float(value), pattern))
            if other != value:
                couple = f"{said!r} and {pattern!r} have the same channels, and ratios {other} and {value}"
                raise DataError("ratio", couple, "one ratio for layers that are coupled")
    return {i: value for i, (value, _) in wanted.items()}


def layers_named(graph: Graph, wanted: str) -> frozenset[str]:
    """The names of the layers that a name or a pattern with * and ? means; TensorFlow's "a;b;c" is also "a".

    Raises: DataError, with the nearest names, when there is none.
    """
    every = {n.name: (n.name, n.name.split(";")[0]) for n in graph.nodes}
    found = {name for name, known in every.items() if wanted in known}
    found = found or {name for name, known in every.items() if any(fnmatchcase(k, wanted) for k in known)}
    if not found:
        near = difflib.get_close_matches(wanted, [known[1] for known in every.values()], NEAREST, 0.0)
        raise DataError("ratio", f"no layer is called {wanted!r}", ", ".join(near))
    return frozenset(found)


def _prunable(found: Dependencies) -> list[str]:
    return list(dict.fromkeys(name for f in found.families for name in f.layers))


def _order(family: Family, scores: Array, round_to: int) -> list[int]:
    """The groups that may go, the least important first; equals in the order of their numbers."""
    most = len(family.groups) - min(family.step(round_to), len(family.groups))
    finite = [int(g) for g in family.groups if np.isfinite(scores[g])]
    return sorted(finite, key=lambda g: (scores[g], g))[:most]


def _nearest(family: Family, ratio: float, round_to: int) -> int:
    """How many groups go at `ratio`, so that the nearest multiple of channels is left; the larger one of two equally
    near."""
    count, step = len(family.groups), family.step(round_to)
    if ratio == 0:
        return 0
    left = math.floor(count * (1 - ratio) / step + 0.5 + 1e-9) * step
    return max(count - max(left, step), 0)


def _chunks(
    families: Sequence[Family], orders: Sequence[list[int]], scores: Array, ranking: Ranking, round_to: int
) -> list[list[int]]:
    """What is removed, in order: from each family so many groups at a time that a multiple of channels is left."""
    queue: list[tuple[float, int, int, int]] = []

    def push(i: int, gone: int) -> None:
        count, step = len(families[i].groups), families[i].step(round_to)
        upto = count - ((count - gone - 1) // step) * step
        if gone < upto <= len(orders[i]):
            score = float(np.mean(scores[orders[i][gone:upto]]))
            heapq.heappush(queue, (score if ranking == "global" else upto / count, i, gone, upto))

    for i in range(len(families)):
        push(i, 0)
    found: list[list[int]] = []
    while queue:
        _, i, gone, upto = heapq.heappop(queue)
        found.append(orders[i][gone:upto])
        push(i, upto)
    return found


def _first(chunks: Sequence[list[int]], count: int) -> frozenset[int]:
    """The first groups until `count` of them are removed, as far as there are any."""
    gone: set[int] = set()
    for chunk in chunks:
        if len(gone) + len(chunk) / 2 > count:
            break
        gone.update(chunk)
    return frozenset(gone)


def _until(
    graph: Graph, found: Dependencies, chunks: Sequence[list[int]], macs: int | None, weights: int | None
) -> frozenset[int]:
    """The fewest chunks that bring the graph to its target."""
    what, target = ("macs", macs) if macs is not None else ("weights", weights)
    assert target is not None

    def size(count: int) -> int:
        gone = {g for chunk in chunks[:count] for g in chunk}
        return _sizes(graph, found, gone)[0 if what == "macs" else 1]

    low, high = 0, len(chunks)
    if size(high) > target:
        found_text = f"{target} is out of reach: the least is {size(high)}, from {size(0)}"
        remedy = "More would remove a whole layer, or leave it fewer than round_to channels"
        raise DataError(what, found_text, "", remedy)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if size(middle) <= target else (middle + 1, high)
    return frozenset(g for chunk in chunks[:low] for g in chunk)


def _sizes(graph: Graph, found: Dependencies, gone: set[int]) -> tuple[int, int]:
    """(MACs, elements of constants) without these groups; from the shapes alone."""
    stays = np.ones(found.count + 1, bool)
    stays[list(gone)] = False

    def shape(t: Tensor, axes: Sequence[Along]) -> tuple[int, ...]:
        left = {a.axis: int(stays[a.groups].sum()) for a in axes}
        return tuple(left.get(d, n) for d, n in enumerate(t.shape))

    tensors = {n: replace(t, shape=shape(t, found.tensors.get(n, ()))) for n, t in graph.tensors.items()}
    small = replace(graph, tensors=tensors)
    return small.macs(), sum(t.size for t in tensors.values() if t.is_const)
