"""Calibration: the range of every tensor of a float graph over sample inputs (Jacob et al., CVPR 2018, section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import keys, load
from ..errors import DataError
from ..floats.run import keeps_batch, run_float
from ..floats.simplify import simplify
from ..graph import Array, Graph, as_array
from ..manifest import port_of
from . import methods
from .histogram import Histogram, counted, empty
from .methods import METHODS, Method

Ranges = dict[str, tuple[float, float]]
"""Tensor name -> (lowest, highest) real value."""
BATCH = 64


def calibrate(
    graph: Graph, data: Any, method: Method = "minmax", percentile: float = 99.99, source: str = "calibration data"
) -> Ranges:
    """Run `graph` (simplified) on `data` and note each tensor's range.

    Args:
        graph: a float graph. Inputs are in the graph's layout: an image is [h][w][c].
        data: the path of an .npz; an array [n, *shape] (or of one sample) for a graph of one input; a mapping from
            input names to such arrays; or an iterable of samples, each an array, or a tuple or mapping with one an
            input. Floats of any width. An .npz holds one array an input under its name, or `x` when there is one input.
        method: `minmax` takes the extremes; the others look at a histogram and may clip: methods/percentile.py,
            methods/mse.py (least squared error), methods/entropy.py (least Kullback-Leibler divergence).
        percentile: in (50, 100], for the method of that name.
        source: what errors call data that is not a file.

    Raises: DataError for data of the wrong shape or dtype, with NaN or infinities, or without a sample; ToolError
        without PyTorch.
    """
    if method not in METHODS:
        raise DataError("calibration", f"the method {method!r}", ", ".join(METHODS))
    if not 50.0 < percentile <= 100.0:
        raise DataError("calibration", f"the percentile {percentile}", "above 50 and up to 100")
    arrays = read_samples(graph, data, source)
    graph = simplify(graph)
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}

    def note(name: str, value: Any) -> None:
        low, high = float(value.min()), float(value.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DataError(source, f"tensor {name} is not finite for these inputs", "", "Check the model's weights")
        lows[name] = min(low, lows.get(name, low))
        highs[name] = max(high, highs.get(name, high))

    for batch in batches(graph, arrays):
        run_float(graph, batch, note)
    ranges: Ranges = {name: (lows[name], highs[name]) for name in lows}
    if method == "minmax" or (method == "percentile" and percentile == 100.0):
        return ranges
    choose = methods.load(method).choose
    # A second pass over the data instead of the data of every tensor: memory does not grow with the samples.
    return {**ranges, **{n: choose(h, percentile) for n, h in _histograms(graph, arrays, ranges).items()}}


def _histograms(graph: Graph, arrays: Sequence[Array], ranges: Ranges) -> dict[str, Histogram]:
    """A histogram between its extremes of each tensor that is not constant."""
    found = {name: empty(low, high) for name, (low, high) in ranges.items() if high > low}

    def count(name: str, value: Any) -> None:
        if name in found:
            found[name] = counted(found[name], value.numpy())

    for batch in batches(graph, arrays):
        run_float(graph, batch, count)
    return found


def batches(graph: Graph, arrays: Sequence[Array]) -> Iterator[list[Array]]:
    """Samples in the portions in which the float graph is run."""
    size = BATCH if keeps_batch(graph) else 1
    for start in range(0, len(arrays[0]), size):
        yield [a[start : start + size] for a in arrays]


# ---- reading samples --------------------------------------------------------------------------------------------


def read_samples(graph: Graph, data: Any, source: str = "calibration data") -> list[Array]:
    """Samples for each graph input as float32 [n, *shape without the batch]; see `calibrate` for what `data` may be.

    Raises: DataError naming the file or source and the key.
    """
    if isinstance(data, str | Path):
        return _from_npz(graph, Path(data))
    if isinstance(data, Mapping):
        return _from_mapping(graph, data, source)
    if hasattr(data, "shape") and hasattr(data, "dtype"):
        if len(graph.inputs) != 1:
            raise DataError(source, "is one array", f"one for each of the inputs {', '.join(graph.inputs)}")
        return [_fit(graph, graph.inputs[0], data, source)]
    if not isinstance(data, Iterable):
        raise DataError(source, f"is {type(data).__name__}", "an array, a mapping, an iterable or the path of an .npz")
    columns: list[list[Array]] = [[] for _ in graph.inputs]
    for k, sample in enumerate(data):
        where = f"{source}, sample {k}"
        if isinstance(sample, tuple | list) and len(sample) == len(graph.inputs):
            sample = dict(zip(graph.inputs, sample, strict=True))
        for column, rows in zip(columns, read_samples(graph, _mapping(graph, sample, where), where), strict=True):
            column.append(rows)
    if not columns[0]:
        raise DataError(source, "holds no sample", "at least one")
    return [np.concatenate(c) for c in columns]


def _mapping(graph: Graph, sample: Any, where: str) -> Mapping[str, Any]:
    if isinstance(sample, Mapping):
        return sample
    if len(graph.inputs) != 1 or not hasattr(sample, "shape"):
        raise DataError(where, f"is {type(sample).__name__}", f"an array for each of {', '.join(graph.inputs)}")
    return {graph.inputs[0]: sample}


def _from_npz(graph: Graph, path: Path) -> list[Array]:
    ports = [port_of(graph.tensors[n]) for n in graph.inputs]
    return _from_mapping(graph, load(path, ports), str(path))


def _from_mapping(graph: Graph, arrays: Mapping[str, Any], source: str) -> list[Array]:
    chosen = keys(source, list(arrays), graph.inputs)
    found = [_fit(graph, n, arrays[k], f"{source}, array {k}") for n, k in zip(graph.inputs, chosen, strict=True)]
    if len({len(a) for a in found}) > 1:
        lengths = ", ".join(f"{n}: {len(a)}" for n, a in zip(graph.inputs, found, strict=True))
        raise DataError(source, f"has unlike numbers of samples ({lengths})", "as many for each input")
    return found


def _fit(graph: Graph, name: str, data: Any, where: str) -> Array:
    """One input's samples, checked."""
    x = as_array(data)
    shape = graph.tensors[name].shape
    if x.dtype.kind != "f":
        raise DataError(
            where, f"its dtype is {x.dtype}", "floats: real values as the float model takes them",
            "Convert with x.astype('float32'), scaled as in training",
        )  # fmt: skip
    if x.shape == shape[1:] or x.shape == shape:
        x = x.reshape(1, *shape[1:])
    elif x.ndim == len(shape) + 1 and x.shape[1:] == shape:
        x = x.reshape(len(x), *shape[1:])
    if x.ndim != len(shape) or x.shape[1:] != shape[1:]:
        wanted = f"[n, {', '.join(map(str, shape[1:]))}]"
        hint = "Images are [n, height, width, channels]" if len(shape) == 4 else ""
        raise DataError(where, f"its shape is {list(x.shape)}", wanted, hint)
    if not len(x):
        raise DataError(where, "holds no sample", "at least one")
    bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
    if bad.size:
        found = f"sample {bad[0]} holds NaN or infinite values ({bad.size} samples do)"
        raise DataError(where, found, "finite numbers")
    with np.errstate(over="ignore"):
        narrow = x.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise DataError(where, "holds values beyond float32", "finite numbers")
    return narrow
