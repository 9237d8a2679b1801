"""TANH."""

import numpy as np
from elementwise_cases import unary_case

from cases import Cases
from intaglio.ops.tanh import Tanh


def case(rng):
    # From inputs near zero to inputs whose every step saturates.
    scale = float(np.exp(rng.uniform(np.log(1e-6), np.log(40.0))))
    return unary_case(rng, Tanh(), scale, 1 / 128, 0)


CASES = (Cases(Tanh, case),)
