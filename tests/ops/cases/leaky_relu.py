"""LEAKY_RELU."""

import numpy as np
from deep import one, some_shape
from elementwise_cases import unary_case
from harness import act

from cases import WIDE, Cases
from intaglio.ops.leaky_relu import LeakyRelu


def case(rng):
    alpha = float(np.float32(rng.choice([0.0, 0.01, 0.1, 0.2, 1.0, 1.5, -0.5, -0.3, rng.uniform(-1, 1)])))
    return unary_case(rng, LeakyRelu(alpha))


def deep(rng):
    return one(LeakyRelu(0.1), act(rng, "x", some_shape(rng)))


CASES = (Cases(LeakyRelu, case, WIDE, deep=deep),)
