"""SQRT of positive numbers."""

from elementwise_cases import above_zero, positive

from cases import Cases
from intaglio.ops.sqrt import Sqrt

CASES = (Cases(Sqrt, lambda rng: positive(rng, Sqrt()), domain=above_zero),)
