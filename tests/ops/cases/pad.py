"""PAD."""

from dataclasses import replace

import numpy as np
from deep import one, some_shape
from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.pad import Pad


def case(rng):
    rank = int(rng.integers(1, 5))
    shape = [int(d) for d in rng.integers(1, 5, rank)]
    pads = tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (rank, 2)) * (rng.random((rank, 1)) < 0.6))
    dtype = str(rng.choice(["int8", "int8", "int8", "int16"]))
    x = act(rng, "x", shape, dtype)
    value = 0.0
    # TFLM fills an int16 PAD with 0, which is int16's zero point; PADV2 it takes for int8.
    if dtype == "int8" and rng.random() < 0.6:
        value = float(rng.choice([-np.inf, np.inf, x.scale * (int(rng.integers(-128, 128)) - x.zero_point)]))
    op = Pad(pads, value)
    return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])


def deep(rng):
    shape = some_shape(rng)
    return one(Pad(tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (len(shape), 2)))), act(rng, "x", shape))


CASES = (Cases(Pad, case, WIDE, deep=deep),)
