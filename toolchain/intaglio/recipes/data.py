"""The data of a recipe: arrays in memory, from a file or not, or the user's own loader of batches."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import accuracy, arrays, models
from ..errors import DataError
from ..graph import Array, Graph, as_array

LOADED = "a loader"
"""The identity of data that cannot be looked at twice."""


@dataclass(frozen=True, eq=False)
class Data:
    """Samples in the graph's layout. `y` is None where there are no targets; what a loader gives is in `loader`."""

    where: str
    x: tuple[Array, ...]
    """One array a graph input, [n, *shape without the batch]; empty with a loader."""
    y: Array | None
    loader: Iterable[Any] | None = None

    def __len__(self) -> int:
        return len(self.x[0])

    @property
    def digest(self) -> str:
        """Of the contents, so that other data is noticed."""
        if self.loader is not None:
            return LOADED
        found = hashlib.sha256()
        for a in (*self.x, *(() if self.y is None else (self.y,))):
            found.update(f"{a.dtype.str}{a.shape}".encode())
            found.update(np.ascontiguousarray(a).tobytes())
        return found.hexdigest()

    def batches(self) -> Any:
        """What `train.loop.fit` takes. Raises DataError for several inputs, or no targets."""
        if self.loader is not None:
            return self.loader
        if len(self.x) != 1:
            raise DataError(self.where, f"is for a model of {len(self.x)} inputs", "one", "Train it in your own loop")
        return self.x[0], np.require(self._targets(), requirements="W")

    def steps(self, batch: int) -> int | None:
        """Of an epoch; None where a loader does not say."""
        if self.loader is not None:
            return len(self.loader) if isinstance(self.loader, _Counted) else None
        return max(len(self) // batch, 1)

    def inputs(self, most: int) -> list[Array]:
        """For calibration, an array a graph input: so many samples at most, evenly spread; of a loader the first."""
        if self.loader is not None:
            return [self._first(most)[0]]
        chosen = _spread(len(self), most)
        return [x[chosen] for x in self.x]

    def labelled(self, most: int) -> tuple[Array, Array]:
        """Like `inputs`, with targets, of a model of one input."""
        if self.loader is not None:
            return self._first(most)
        self.batches()
        chosen = _spread(len(self), most)
        return self.x[0][chosen], self._targets()[chosen]

    def require_targets(self, where: str) -> None:
        """Raises DataError where step `where` would miss them. What a loader gives is seen when it is trained with."""
        if self.y is None and self.loader is None:
            raise DataError(self.where, f"holds no array y, and {where} needs it", "y: the class of each sample")

    def _targets(self) -> Array:
        assert self.y is not None
        return self.y

    def _first(self, most: int) -> tuple[Array, Array]:
        assert self.loader is not None
        xs, ys, count = [], [], 0
        for x, y in self.loader:
            xs.append(as_array(x))
            ys.append(as_array(y))
            count += len(xs[-1])
            if count >= most:
                break
        if not xs:
            raise DataError(self.where, "holds no sample", "at least one")
        return np.concatenate(xs)[:most], np.concatenate(ys)[:most]


@dataclass(frozen=True, eq=False)
class _Checked:
    """The user's loader; each batch is looked at before it is trained with."""

    where: str
    data: Iterable[Any]
    shape: tuple[int, ...]
    classes: int | None

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for k, pair in enumerate(self.data):
            here = f"{self.where}, batch {k}"
            if not (isinstance(pair, tuple | list) and len(pair) == 2):
                raise DataError(here, f"is {type(pair).__name__}", "a pair (x, y)")
            x, y = as_array(pair[0]), as_array(pair[1])
            x = x.reshape(len(x), *self.shape) if x.shape[1:] == (1, *self.shape) else x
            _require_shape(x, self.shape, here)
            if self.classes is not None:
                y = arrays.labels(y, len(x), self.classes, f"{here}: y")
            yield x.astype(np.float32), y


class _Counted(_Checked):
    """A loader that knows how many batches it has."""

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]  # see `of`


def classes(graph: Graph) -> int:
    """Raises UnsupportedError for what is no classifier."""
    return accuracy.classes_of(graph.name, models.ports(graph)[1], len(graph.states()))


def of(given: Any, graph: Graph, what: str, loss: Any) -> Data:
    """The data that a user gives, checked against the model.

    Args:
        given: the path of an .npz with the inputs by name or `x` and class numbers `y`, which only training needs; a
            mapping of such arrays; a pair (x, y); or an iterable over batches (x, y), in the graph's layout.
        what: "training data" or "test data", for errors.
        loss: the user's own, with which targets may be anything.

    Raises: DataError for what does not fit.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        ports = models.ports(graph)[0]
        found: Mapping[str, Any] = arrays.load(path, ports)
        batch = arrays.batch(found, ports, str(path))
        y = arrays.load_labels(path, len(batch), classes(graph)) if arrays.holds_labels(path) else None
        return Data(str(path), _rows(batch.arrays, graph), y)
    if isinstance(given, tuple) and len(given) == 2:
        given = {"x": given[0], "y": given[1]}
    if isinstance(given, Mapping):
        named = {k: as_array(v) for k, v in given.items()}
        targets = named.get("y")
        batch = arrays.batch(named, models.ports(graph)[0], what)
        if targets is not None and loss is None:
            targets = arrays.labels(targets, len(batch), classes(graph), f"{what}: y")
        elif targets is not None and len(targets) != len(batch):
            raise DataError(what, f"has {len(batch)} inputs and {len(targets)} targets", "as many of both")
        return Data(what, _rows(batch.arrays, graph), targets)
    if not isinstance(given, Iterable):
        raise DataError(what, f"is {type(given).__name__}", "a path, (x, y), a mapping, or an iterable over batches")
    if len(graph.inputs) != 1:
        raise DataError(what, f"is a loader, and the model has {len(graph.inputs)} inputs", "a model of one")
    known = None if loss is not None else classes(graph)
    if iter(given) is given:
        raise DataError(what, "can be gone through only once", "a loader that begins anew for each epoch, or arrays")
    kind = _Counted if hasattr(given, "__len__") else _Checked
    return Data(what, (), None, kind(what, given, graph.tensors[graph.inputs[0]].shape[1:], known))


def in_memory(data: Data) -> Data:
    """What a loader gives, once, as arrays."""
    if data.loader is None:
        return data
    pairs = [(as_array(x), as_array(y)) for x, y in data.loader]
    if not pairs:
        raise DataError(data.where, "holds no sample", "at least one")
    x, y = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return Data(data.where, (x,), y)


def _rows(found: Iterable[Array], graph: Graph) -> tuple[Array, ...]:
    """[n, 1, ...] -> [n, ...]."""
    shapes = [graph.tensors[n].shape[1:] for n in graph.inputs]
    # PyTorch warns of arrays that cannot be written to, as those of files.
    return tuple(np.require(x.reshape(-1, *s), requirements=["C", "W"]) for x, s in zip(found, shapes, strict=True))


def _require_shape(x: Array, shape: tuple[int, ...], where: str) -> None:
    if tuple(x.shape[1:]) != shape or x.dtype.kind != "f" or not len(x):
        found = f"x is {x.dtype}{list(x.shape)}"
        hint = "Images are [n, height, width, channels]" if len(shape) == 3 else ""
        raise DataError(where, found, f"floats [n, {', '.join(map(str, shape))}]", hint)
    if not np.isfinite(x).all():
        raise DataError(where, "x holds NaN or infinity", "finite numbers")


def _spread(n: int, most: int) -> Array:
    """Indices of `most` of n samples, evenly spread: data may be sorted by class."""
    return np.arange(n) if n <= most else np.arange(most) * n // most
