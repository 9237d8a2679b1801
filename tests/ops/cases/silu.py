"""SILU."""

from elementwise_cases import unary

from cases import Cases
from intaglio.ops.silu import Silu

CASES = (Cases(Silu, unary(Silu()), oracle=False),)
