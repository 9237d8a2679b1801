"""RELU, RELU6 and RELU_N1_TO_1."""

from deep import one, some_shape
from elementwise_cases import unary
from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.relu import Relu


def relu6(rng):
    x = act(rng, "x", (1, 256))
    return graph_of(Relu("relu6"), [x], [act(rng, "y", (1, 256), scale=x.scale, zero_point=x.zero_point)])


def deep(rng):
    return one(Relu("relu"), act(rng, "x", some_shape(rng)))


CASES = (
    Cases(Relu, unary(Relu("relu")), WIDE, deep=deep),
    Cases(Relu, relu6, label="relu6"),
    Cases(Relu, unary(Relu("relu_n1_to_1")), label="relu_n1_to_1", oracle=False),
)
