"""Mixed precision: how many bits the weights of each layer get, under a budget of bytes or of accuracy.

What the outputs lose when one layer alone has fewer bits is measured; losses of several layers are taken to add up, as
in Yao et al., ICML 2021 (HAWQ-V3). The sums and the bytes of all combinations that are worth having are then worked
out, smallest first, and a budget picks one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from ..floats.run import run_float
from ..floats.simplify import simplify
from ..graph import Array, Graph, constant
from .calibrate import batches, calibrate, read_samples
from .methods import DEFAULT_METHODS, Method
from .post_training import quantize
from .scales import Ranges
from .simulate import real_values

SAMPLES = 128
"""Samples that losses are measured on: the float graph runs over them once for each layer and number of bits."""
MOST_POINTS = 4096
"""Combinations that are kept from layer to layer: the best of those of nearly one size."""


@dataclass(frozen=True)
class Sensitivity:
    """One layer with so many bits."""

    layer: str
    bits: int
    weight_bytes: int
    """In flash, packed."""
    loss: float
    """When this layer's weights alone have so few bits: the squared error of the outputs, as a part of their
    squares."""


@dataclass(frozen=True)
class Choice:
    """Bits for every layer with weights. No other choice is both as small and, by the sum of losses, as good."""

    bits: Mapping[str, int]
    weight_bytes: int
    loss: float


def choices(graph: Graph, data: Any, method: Method | None = None, source: str = "calibration data") -> list[Choice]:
    """The choices worth having for a float model, smallest first; `within_bytes` and `smallest` pick one.

    Args:
        data, method, source: see quantize.calibrate.calibrate.
    Raises: DataError for data that does not fit, ToolError without PyTorch.
    """
    graph = simplify(graph)
    arrays = read_samples(graph, data, source)
    named = dict(zip(graph.inputs, arrays, strict=True))
    ranges = calibrate(graph, named, method or DEFAULT_METHODS[8], source=source)
    return frontier(sensitivities(graph, ranges, arrays))


def sensitivities(
    graph: Graph, ranges: Ranges, arrays: Sequence[Array], bits: Sequence[int] = (8, 4, 2)
) -> list[Sensitivity]:
    """What each layer's weights lose with each number of bits.

    Args:
        graph: a float graph.
        ranges: from `calibrate` on the same graph.
        arrays: one float32 array [n, *shape without the batch] a graph input; the first SAMPLES are used.
    """
    graph = simplify(graph)
    if not any(n.op.weighted for n in graph.nodes):
        raise DataError(f"model {graph.name}", "has no layer with weights", "", "There are no bits to choose")
    few = [a[:SAMPLES] for a in arrays]
    want = _outputs(graph, few)
    size = float(sum((w**2).sum() for w in want)) or 1.0
    found: list[Sensitivity] = []
    for number in bits:
        whole = quantize(graph, ranges, weight_bits=number)
        mates = {n.name: n for n in whole.nodes}
        for node in graph.nodes:
            if not node.op.weighted:
                continue
            t = whole.tensors[mates[node.name].inputs[1]]
            name = node.inputs[1]
            changed = {**graph.tensors, name: constant(name, real_values(t))}
            got = _outputs(graph.with_nodes(graph.nodes, changed), few)
            loss = sum(float(((g - w) ** 2).sum()) for g, w in zip(got, want, strict=True)) / size
            found.append(Sensitivity(node.name, number, t.stored_bytes, loss))
    return found


def _outputs(graph: Graph, arrays: Sequence[Array]) -> list[Any]:
    parts = [run_float(graph, batch) for batch in batches(graph, arrays)]
    return [np.concatenate(p).astype(np.float64) for p in zip(*parts, strict=True)]


def frontier(found: Sequence[Sensitivity]) -> list[Choice]:
    """The choices worth having, smallest first: each larger one loses less."""
    layers: dict[str, list[Sensitivity]] = {}
    for s in found:
        layers.setdefault(s.layer, []).append(s)
    points: list[tuple[int, float, tuple[int, ...]]] = [(0, 0.0, ())]
    for options in layers.values():
        every = [(p[0] + o.weight_bytes, p[1] + o.loss, (*p[2], o.bits)) for p in points for o in options]
        points = _thinned(_pareto(every))
    return [Choice(dict(zip(layers, bits, strict=True)), size, loss) for size, loss, bits in points]


def _pareto(points: list[tuple[int, float, tuple[int, ...]]]) -> list[tuple[int, float, tuple[int, ...]]]:
    kept: list[tuple[int, float, tuple[int, ...]]] = []
    for point in sorted(points):
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept


def _thinned(points: list[tuple[int, float, tuple[int, ...]]]) -> list[tuple[int, float, tuple[int, ...]]]:
    """At most MOST_POINTS, both ends among them: of each stretch of sizes the largest, which loses least."""
    if len(points) <= MOST_POINTS:
        return points
    first, last = points[0][0], points[-1][0]
    stretch = {(p[0] - first) * (MOST_POINTS - 2) // (last - first): p for p in points[1:]}
    return [points[0], *stretch.values()]


def within_bytes(choices: Sequence[Choice], budget: int) -> Choice:
    """The choice that loses least with at most `budget` bytes of weights. Raises DataError when none is so small."""
    fitting = [c for c in choices if c.weight_bytes <= budget]
    if not fitting:
        least = choices[0].weight_bytes
        raise DataError(
            "weight bytes", f"{budget} are too few", f"{least} or more", "Prune the model, or share weights"
        )
    return fitting[-1]


def smallest(choices: Sequence[Choice], merit: Callable[[Choice], float], least: float) -> tuple[Choice, float]:
    """The smallest choice with a merit of at least `least`, and its merit, taking the merit to grow with the size.

    `merit` (accuracy, say) is asked about log2(choices) times. Raises DataError when the best choice has too little.
    """
    best = merit(choices[-1])
    if best < least:
        found = f"with the most bits it is {best:.4g}"
        raise DataError("accuracy budget", found, f"{least:.4g} or more", "Allow more loss, or train with quantization")
    low, high, known = 0, len(choices) - 1, best  # choices[high] has enough
    while low < high:
        middle = (low + high) // 2
        value = merit(choices[middle])
        if value >= least:
            high, known = middle, value
        else:
            low = middle + 1
    return choices[high], known
