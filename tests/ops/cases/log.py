"""LOG of positive numbers."""

from elementwise_cases import above_zero, positive

from cases import Cases
from intaglio.ops.log import Log

CASES = (Cases(Log, lambda rng: positive(rng, Log()), domain=above_zero),)
