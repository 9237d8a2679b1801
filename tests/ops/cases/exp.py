"""EXP, whose powers a float32 is to hold."""

import numpy as np
from elementwise_cases import unary

from cases import Cases
from intaglio.ops.exp import Exp

CASES = (Cases(Exp, unary(Exp()), domain=lambda x: np.clip(x, -60, 60)),)
