"""ASSIGN_VARIABLE: the sum of all inputs so far, which is the output and the state."""

from cases import INTEGERS, Cases
from cases.read_variable import case
from intaglio.ops.assign_variable import AssignVariable

CASES = (Cases(AssignVariable, lambda rng: case(rng, "y"), INTEGERS),)
