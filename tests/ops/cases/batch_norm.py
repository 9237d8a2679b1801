"""BATCH_NORM: in floats alone, quantization folds it away."""

import numpy as np
from harness import const, graph_of

from cases import FLOATS, Cases
from intaglio.graph import Tensor
from intaglio.ops.batch_norm import BatchNorm


def case(rng):
    c = int(rng.integers(1, 9))
    x, y = (Tensor(name, (1, 3, 4, c), "float32") for name in "xy")
    parts = [const(name, rng.uniform(0.5, 2, c).astype(np.float32)) for name in ("gamma", "beta", "mean", "variance")]
    return graph_of(BatchNorm(1e-3), [x, *parts], [y])


CASES = (Cases(BatchNorm, case, FLOATS),)
