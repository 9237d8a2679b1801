"""Which channels of an operator's inputs and outputs belong together. A channel is an index of the last dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..graph import Array, Tensor


@dataclass(frozen=True, eq=False)
class Link:
    """Channel ins[i] of input number `input` and channel outs[i] of output number `output` stay or go together."""

    input: int
    output: int
    ins: Array
    outs: Array


def channels(t: Tensor) -> int:
    """How many: the last dimension, 1 for a scalar."""
    return t.shape[-1] if t.shape else 1


def each(t: Tensor, input: int = 0) -> Link:
    """Each channel of an input with the same of the output `t`."""
    every = np.arange(channels(t))
    return Link(input, 0, every, every)


def pieces(parts: Sequence[Tensor], last: bool, joined: bool) -> list[Link]:
    """Of a CONCATENATION (`joined`) or SPLIT, along the last dimension or another."""
    found: list[Link] = []
    start = 0
    for k, t in enumerate(parts):
        every = np.arange(channels(t))
        there = every + start if last else every
        found.append(Link(k, 0, every, there) if joined else Link(0, k, there, every))
        start += channels(t)
    return found
