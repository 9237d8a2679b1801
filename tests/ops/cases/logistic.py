"""LOGISTIC."""

import numpy as np
from deep import rows
from elementwise_cases import unary_case

from cases import Cases
from intaglio.graph import Quant
from intaglio.ops.logistic import Logistic


def case(rng):
    # From inputs near zero to inputs whose every step saturates.
    scale = float(np.exp(rng.uniform(np.log(1e-6), np.log(40.0))))
    return unary_case(rng, Logistic(), scale, 1 / 256, -128)


CASES = (Cases(Logistic, case, deep=rows(Logistic(), Quant((1 / 256,), (-128,)))),)
