"""GELU."""

from elementwise_cases import unary_case

from cases import Cases
from intaglio.ops.gelu import Gelu


def case(rng):
    return unary_case(rng, Gelu(bool(rng.random() < 0.5)))


CASES = (Cases(Gelu, case, oracle=False),)
