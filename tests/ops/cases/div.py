"""DIV."""

from elementwise_cases import binary_case

from cases import FLOATS, Cases
from intaglio.ops.div import Div


def case(rng):
    return binary_case(rng, Div(), lambda a, b: a.scale / b.scale)


CASES = (Cases(Div, case, FLOATS),)
