"""Which channels always hold the same bytes: value numbering, channel by channel.

Two channels get the same number when the same operation computes them, with equal weights, bias and scales, from
channels of the same numbers; or when both are constant and equal.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from ...graph import Array, Graph, Node, Tensor
from ...ops.base import need
from ...ops.links import channels
from ...ops.weighted import channel_scales
from .bounds import Bounds
from .channel_sets import bias_of, links, mixing


def channel_numbers(graph: Graph, known: Mapping[str, Bounds]) -> dict[str, Array]:
    """One int64 a channel of each tensor, by name: channels with equal numbers, of one tensor or of two alike in all
    dimensions but the last, hold equal bytes at every inference.

    `known` are the bounds of the int8 tensors (see bounds.py).
    """
    seen: dict[Hashable, int] = {}
    found: dict[str, Array] = {}

    def give(t: Tensor, keys: list[Hashable]) -> None:
        b = known.get(t.name)
        if b is not None:
            rows = b.low.reshape(-1, channels(t))
            for c in np.flatnonzero(constant_channels(b)):
                keys[c] = ("constant", t.shape[:-1], rows[:, c].tobytes())
        found[t.name] = np.array([seen.setdefault(k, len(seen)) for k in keys], np.int64)

    for t in graph.tensors.values():
        give(t, [(t.name, c) for c in range(channels(t))])
    for node in graph.nodes:
        for j, t in enumerate(graph.outs(node)):
            passed = _passed(node, graph, j, found)
            if passed is not None:
                found[t.name] = passed
            else:
                give(t, _keys(node, graph, j, found))
    return found


def constant_channels(b: Bounds) -> Array:
    """bool, one a channel: whether every element of it is a constant."""
    same = b.constant
    return np.asarray(same.reshape(-1, same.shape[-1] if same.shape else 1).all(axis=0))


def _passed(node: Node, graph: Graph, j: int, found: Mapping[str, Array]) -> Array | None:
    """The numbers of output j where it is channels of the inputs as they are."""
    out = graph.outs(node)[j]
    if not node.op.moves_channels(len(out.shape)):
        return None
    numbers = np.empty(channels(out), np.int64)
    for link in links(node, graph) or []:
        if link.output == j:
            numbers[link.outs] = found[node.inputs[link.input]][link.ins]
    return numbers


def _keys(node: Node, graph: Graph, j: int, found: Mapping[str, Array]) -> list[Hashable]:
    """What says how each channel of output j is computed: the operation, and the numbers that go in."""
    t = graph.outs(node)[j]
    alone: list[Hashable] = [(t.name, c) for c in range(channels(t))]
    sides = [s for s in (*graph.ins(node)[:1], t) if s is not None]
    rule = (repr(node.op), j, *((s.shape[:-1], s.dtype, s.quant) for s in sides))
    weights = mixing(node, graph)
    if weights is not None:
        order = np.argsort(found[node.inputs[0]], kind="stable")
        numbers, starts = np.unique(found[node.inputs[0]][order], return_index=True)
        sums = np.add.reduceat(weights[:, :, order], starts, axis=2)
        read = (numbers.tobytes(), weights.shape[1:])
        return [(rule, read, sums[c].tobytes(), *_own(node, graph, c)) for c in range(channels(t))]
    linked = links(node, graph)
    if linked is None:
        return alone
    if node.op.per_channel:
        w = need(graph.ins(node)[1])
        if w.dtype != "int8" or w.data is None:
            return alone
        numbers = found[node.inputs[0]][linked[0].ins]
        return [
            (rule, int(numbers[c]), w.shape, w.data[..., c].tobytes(), *_own(node, graph, c))
            for c in range(channels(t))
        ]
    if node.op.layer is not None:  # with groups
        return alone
    sources: list[list[int]] = [[] for _ in range(channels(t))]
    for link in linked:
        if link.output == j:
            numbers = found[node.inputs[link.input]][link.ins]
            for c, n in zip(link.outs.tolist(), numbers.tolist(), strict=True):
                sources[c].append(n)
    rest = {link.input for link in linked}
    whole = tuple(
        (k, graph.tensors[n].shape, graph.tensors[n].quant, found[n].tobytes() if k not in rest else b"")
        for k, n in enumerate(node.inputs)
    )
    # A reshape reads each channel several times, from other places: which of them says c // channels(x).
    place = channels(need(graph.ins(node)[0])) if node.op.is_view else channels(t)
    return [(rule, whole, c // place, tuple(s)) for c, s in enumerate(sources)]


def _own(node: Node, graph: Graph, c: int) -> tuple[Hashable, ...]:
    """Bias and scale of output channel c of an operator with weights."""
    bias = bias_of(node, graph)
    w = need(graph.ins(node)[1])
    scales = channel_scales(w, channels(graph.outs(node)[0]))
    return (b"" if bias is None else np.broadcast_to(bias[..., c], bias.shape[:-1]).tobytes(), scales[c])
