"""RSQRT of positive numbers."""

import numpy as np
from elementwise_cases import above_zero, positive

from cases import Cases
from intaglio.ops.rsqrt import Rsqrt


def case(rng):
    return positive(rng, Rsqrt(), lambda x: np.exp(rng.uniform(-3, 3)) / np.sqrt(x.scale) / 128)


CASES = (Cases(Rsqrt, case, domain=above_zero),)
