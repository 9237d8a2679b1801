"""HARD_SIGMOID."""

from elementwise_cases import unary

from cases import Cases
from intaglio.ops.hard_sigmoid import HardSigmoid

CASES = (Cases(HardSigmoid, unary(HardSigmoid()), oracle=False),)
