"""QUANTIZE."""

from elementwise_cases import decimal
from harness import act, graph_of

from cases import INTEGERS, Cases
from intaglio.graph import Graph, Node
from intaglio.ops.dequantize import Dequantize
from intaglio.ops.quantize import Quantize


def from_float(rng):
    shape = tuple(int(v) for v in rng.integers(1, 6, int(rng.integers(1, 5))))
    return graph_of(Quantize(), [act(rng, "x", shape, "float32")], [act(rng, "y", shape)])


def float_halves(rng):
    """DEQUANTIZE feeds it floats at and around the middle between two integers."""
    scale = decimal(rng)
    x = act(rng, "x", (1, 300), scale=scale / 2)
    middle, y = act(rng, "f", (1, 300), "float32"), act(rng, "y", (1, 300), scale=scale)
    nodes = (Node("d", Dequantize(), ("x",), ("f",)), Node("q", Quantize(), ("f",), ("y",)))
    return Graph("case", nodes, {t.name: t for t in (x, middle, y)}, ("x",), ("y",))


def halves(rng):
    """Every odd input lies half way between two outputs."""
    return graph_of(Quantize(), [act(rng, "x", (1, 64), "int8", 0.5)], [act(rng, "y", (1, 64), "int8", 1.0)])


CASES = (Cases(Quantize, from_float, INTEGERS),)
