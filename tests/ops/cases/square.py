"""SQUARE."""

from elementwise_cases import unary

from cases import Cases
from intaglio.ops.square import Square

CASES = (Cases(Square, unary(Square())),)
