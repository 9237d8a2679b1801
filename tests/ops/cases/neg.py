"""NEG."""

from elementwise_cases import unary

from cases import Cases
from intaglio.ops.neg import Neg

CASES = (Cases(Neg, unary(Neg())),)
