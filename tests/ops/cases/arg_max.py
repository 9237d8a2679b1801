"""ARG_MAX."""

from deep import one, some_shape
from harness import act, graph_of

from cases import INTEGERS, Cases
from intaglio.graph import Tensor
from intaglio.ops.arg_max import ArgMax


def case(rng):
    shape = tuple(int(v) for v in rng.integers(1, 8, int(rng.integers(1, 5))))
    op = ArgMax(int(rng.integers(len(shape))))
    x = act(rng, "x", shape)
    return graph_of(op, [x], [Tensor("y", op.infer([x], [])[0][0], "int32")])


def deep(rng):
    return one(ArgMax(int(rng.integers(5))), act(rng, "x", some_shape(rng)))


CASES = (Cases(ArgMax, case, INTEGERS, deep=deep),)
