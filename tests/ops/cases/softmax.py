"""SOFTMAX."""

import numpy as np
from deep import rows
from harness import act, graph_of

from cases import Cases
from intaglio.graph import Quant
from intaglio.ops.softmax import Softmax


def case_of(rng, row):
    shape = [int(d) for d in rng.integers(1, 4, int(rng.integers(0, 4)))] + [row]
    x = act(rng, "x", shape, scale=np.exp(rng.uniform(np.log(1e-4), np.log(5))))
    beta = float(np.float32(rng.choice([1.0, 1.0, 0.5, 3.7])))
    return graph_of(Softmax(beta), [x], [act(rng, "y", shape, scale=1 / 256, zero_point=-128)])


def case(rng):
    return case_of(rng, int(rng.integers(1, 40)))


CASES = (Cases(Softmax, case, deep=rows(Softmax(), Quant((1 / 256,), (-128,)))),)
