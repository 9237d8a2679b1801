"""What the rules `Op.channels` work with: the numbers of channels, and which of them can only be removed together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from ..graph import Array, Tensor

Ins = Sequence[Tensor | None]
Outs = Sequence[Tensor]
Reference = Callable[[Sequence[Array | None], Ins, Outs], list[Array]]
Role = Literal["makes", "reads", "beside", "flows"]
"""What a part of a tensor is to its channel: the weights that compute it, the weights that multiply it, a constant that
goes with it (bias, batch norm, slope), or the activation itself."""


class ChannelTies:
    """What the rules of the operators work with: channel numbers, and which of them are equal."""

    def __init__(self) -> None:
        self._parent = np.zeros(1, np.int64)
        self.flows: dict[str, tuple[int, Array]] = {}
        """Tensor that is computed, or an input -> the axis that its channels lie along, and their numbers."""
        self.cuts: dict[tuple[str, int], list[tuple[Role, Array]]] = {}
        """(constant, axis) -> the numbers of its indices, once for each time that a node reads it."""

    # ---- for the rules ------------------------------------------------------------------------------------------

    def new(self, count: int) -> Array:
        """So many channels that depend on no other, int64 [count]."""
        start = len(self._parent)
        found = np.arange(start, start + count)
        self._parent = np.concatenate([self._parent, found])
        return found

    def tie(self, a: Array, b: Array) -> None:
        """a[i] and b[i] can only be removed together; the shapes broadcast."""
        both = np.stack([x.ravel() for x in np.broadcast_arrays(self.roots(a), self.roots(b))])
        for one, other in np.unique(both[:, both[0] != both[1]], axis=1).T.tolist():
            one, other = int(self.roots(one)), int(self.roots(other))
            self._parent[max(one, other)] = min(one, other)

    def keep(self, numbers: Array) -> None:
        """These channels stay."""
        self.tie(numbers, np.zeros(1, np.int64))

    def cut(self, t: Tensor | None, axis: int, numbers: Array, role: Role = "beside") -> None:
        """Index i of a constant along `axis` goes with channel numbers[i]. Nothing for an absent input."""
        if t is None:
            return
        if t.is_const:
            self.cuts.setdefault((t.name, axis), []).append((role, numbers))
        else:
            self.keep(numbers)
            self.keep(self.along_any(t))

    def of(self, t: Tensor) -> Array:
        """The number of each element, [shape]; 0 for constants and state."""
        if t.name not in self.flows:
            return np.zeros(t.shape, np.int64)
        axis, numbers = self.flows[t.name]
        return self.spread(numbers, t.shape, axis) if t.shape else np.zeros((), np.int64)

    def axis(self, t: Tensor) -> int:
        """The axis that an activation's channels lie along; the last one where they stay anyway, -1 for a scalar."""
        return self.flows[t.name][0] if t.name in self.flows else len(t.shape) - 1

    def along_any(self, t: Tensor) -> Array:
        """The numbers along `axis(t)`."""
        return self.flows[t.name][1] if t.name in self.flows else np.zeros(t.shape[-1:], np.int64)

    def along(self, t: Tensor, axis: int) -> Array:
        """The numbers along `axis`, for a rule that knows channels there only: others stay."""
        if self.axis(t) == axis:
            return self.along_any(t)
        self.keep(self.along_any(t))
        return np.zeros(t.shape[axis], np.int64)

    def blocked(self, ins: Ins, outs: Outs) -> list[Array]:
        """For a node through which nothing can be cut: what it reads stays, and so does what it gives."""
        for t in ins:
            if t is not None:
                self.keep(self.along_any(t))
        return [np.zeros(t.shape, np.int64) for t in outs]

    def moved(self, reference: Reference, ins: Ins, outs: Outs) -> list[Array]:
        """For an operator that only moves elements: its reference moves their numbers."""
        return reference([None if t is None else self.of(t) for t in ins], ins, outs)

    @staticmethod
    def spread(numbers: Array, shape: Sequence[int], axis: int) -> Array:
        """Numbers along one axis as an array of `shape`, without copying them."""
        return np.broadcast_to(numbers.reshape([-1 if d == axis else 1 for d in range(len(shape))]), shape)

    # ---- for the analysis ---------------------------------------------------------------------------------------

    def roots(self, numbers: Array | int) -> Array:
        """For each channel the least number that is equal to it."""
        while True:
            up = self._parent[numbers]
            if np.array_equal(up, numbers):
                return up
            numbers = up

    def put(self, t: Tensor, numbers: Array) -> None:
        """Take over an activation's numbers, [shape]. A tensor loses indices along one axis only, so that a box is
        left. Where numbers change along several axes, the last one is taken, unless that would tie everything; numbers
        across it are tied."""
        if not t.shape:
            self.keep(numbers)
            self.flows[t.name] = -1, np.zeros(0, np.int64)
            return
        seen = self.roots(numbers[tuple(slice(None) if s else slice(1) for s in np.asarray(numbers).strides)])
        varying = [d for d, n in enumerate(seen.shape) if n > 1 and (seen != seen.take([0], d)).any()]
        axis = varying[-1] if varying else len(t.shape) - 1
        if len(varying) > 1 and self._left(seen, axis) == 1:
            axis = max(varying, key=lambda d: self._left(seen, d))
        rows = np.moveaxis(seen, axis, 0).reshape(seen.shape[axis], -1)
        self.tie(rows[:, :1], rows)
        self.flows[t.name] = axis, np.broadcast_to(rows[:, 0], (t.shape[axis],))

    def _left(self, numbers: Array, axis: int) -> int:
        """How many different numbers lie along `axis` once those across it are tied."""
        before = self._parent.copy()
        rows = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1)
        self.tie(rows[:, :1], rows)
        left = len(np.unique(self.roots(rows[:, 0])))
        self._parent = before
        return left
