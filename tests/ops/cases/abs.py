"""ABS."""

from elementwise_cases import unary

from cases import Cases
from intaglio.ops.abs import Abs

CASES = (Cases(Abs, unary(Abs())),)
