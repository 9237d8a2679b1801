"""RESHAPE, SQUEEZE and EXPAND_DIMS."""

from dataclasses import replace

import numpy as np
from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.base import TfliteOp
from intaglio.ops.reshape import Reshape


def pair(rng, shape, other):
    x = act(rng, "x", shape)
    return x, replace(x, name="y", shape=tuple(int(d) for d in other))


def reshaped(rng):
    sizes = [int(d) for d in rng.integers(1, 6, int(rng.integers(1, 5)))]
    other = [int(d) for d in rng.permutation(sizes)]
    if len(other) > 1 and rng.random() < 0.5:
        other = [other[0] * other[1], *other[2:]]
    x, y = pair(rng, sizes, other)
    wanted = np.array(other, np.int32)
    if rng.random() < 0.5:
        wanted[int(rng.integers(len(wanted)))] = -1
    return [x], [y], TfliteOp("RESHAPE", ("x", wanted), "ReshapeOptions", {"NewShape": wanted})


def squeezed(rng):
    sizes = [int(d) for d in rng.choice([1, 1, 2, 3], int(rng.integers(2, 6)))]
    ones = [d for d, n in enumerate(sizes) if n == 1]
    dropped = sorted(int(d) for d in rng.permutation(ones)[: int(rng.integers(0, len(ones) + 1))])
    gone = dropped or ones
    x, y = pair(rng, sizes, [n for d, n in enumerate(sizes) if d not in gone])
    signs = [d - len(sizes) if rng.random() < 0.3 else d for d in dropped]
    return [x], [y], TfliteOp("SQUEEZE", ("x",), "SqueezeOptions", {"SqueezeDims": np.array(signs, np.int32)})


def expanded(rng):
    sizes = [int(d) for d in rng.integers(1, 6, int(rng.integers(1, 5)))]
    axis = int(rng.integers(-len(sizes) - 1, len(sizes) + 1))
    at = axis + len(sizes) + 1 if axis < 0 else axis
    x, y = pair(rng, sizes, [*sizes[:at], 1, *sizes[at:]])
    return [x], [y], TfliteOp("EXPAND_DIMS", ("x", np.array(axis, np.int32)), "ExpandDimsOptions")


def case(rng):
    (x,), (y,), _ = reshaped(rng)
    return graph_of(Reshape(y.shape), [x], [y])


CASES = (Cases(Reshape, case, WIDE),)
