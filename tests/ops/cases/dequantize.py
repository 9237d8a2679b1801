"""DEQUANTIZE."""

from harness import act, graph_of

from cases import INTEGERS, Cases
from intaglio.ops.dequantize import Dequantize


def case(rng):
    return graph_of(Dequantize(), [act(rng, "x", (1, 300))], [act(rng, "y", (1, 300), "float32")])


CASES = (Cases(Dequantize, case, INTEGERS),)
