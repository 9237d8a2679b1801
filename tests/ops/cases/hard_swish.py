"""HARD_SWISH."""

import numpy as np
from elementwise_cases import unary_case

from cases import Cases
from intaglio.ops.hard_swish import HardSwish, factor16


def case(rng):
    # From inputs that never reach 3 to inputs that saturate at once.
    scale = float(np.exp(rng.uniform(np.log(1e-4), np.log(4.0))))
    return unary_case(rng, HardSwish(), scale, scale * float(np.exp(rng.uniform(-4, 2))))


def sensitive(rng):
    """Scales whose quotient gives another 16-bit multiplier when it is rounded to float32 first."""
    while True:
        x, y = (float(np.float32(np.exp(rng.uniform(-5, 0)))) for _ in "xy")
        in_double, in_float = factor16(x / 128 / y), factor16(float(np.float32(x) / np.float32(128) / np.float32(y)))
        if in_double != in_float and in_double[1] <= 0:
            return unary_case(rng, HardSwish(), x, y)


CASES = (Cases(HardSwish, case),)
