"""TILE."""

import numpy as np
from deep import some_shape
from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.tile import Tile


def tiled(rng, shape, times, dtype="int8"):
    x = act(rng, "x", shape, dtype, 0.1, 0 if dtype == "int16" else 3)
    op = Tile(tuple(int(t) for t in times))
    return graph_of(op, [x], [act(rng, "y", op.infer([x], [])[0][0], dtype, 0.1, 0 if dtype == "int16" else 3)])


def along_one(rng):
    shape = [int(d) for d in rng.integers(1, 6, int(rng.integers(1, 5)))]
    times = np.ones(len(shape), int)
    times[int(rng.integers(len(shape)))] = int(rng.integers(2, 11))
    return tiled(rng, shape, times, str(rng.choice(["int8", "int16", "float32"])))


def along_any(rng, dtypes=("int8", "int16", "int32", "float32")):
    shape = [int(d) for d in rng.integers(1, 5, int(rng.integers(1, 4)))]
    return tiled(rng, shape, rng.integers(1, 4, len(shape)), str(rng.choice(dtypes)))


def deep(rng):
    shape = some_shape(rng)
    return tiled(rng, shape, (1, 2, int(rng.integers(2, 130)), 1, 3, 1, 1)[: len(shape)])


CASES = (Cases(Tile, lambda rng: along_any(rng, ("int8",)), WIDE, oracle=False, deep=deep),)
