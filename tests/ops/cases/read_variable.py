"""READ_VARIABLE: the sum of this input and the last one."""

from dataclasses import replace

import numpy as np
from harness import act

from cases import INTEGERS, Cases
from intaglio.graph import Graph, Node, Tensor, verify
from intaglio.ops.add import Add
from intaglio.ops.assign_variable import AssignVariable
from intaglio.ops.read_variable import ReadVariable


def case(rng, kept="x"):
    """`kept` is what the state holds until the next input."""
    x = act(rng, "x", (1, int(rng.integers(1, 9))))
    start = rng.integers(-128, 128, x.shape).astype(np.int8)
    state = Tensor("state:past", x.shape, "int8", x.quant, start, state=True)
    past, y = replace(x, name="past"), replace(x, name="y")
    nodes = (
        Node("read", ReadVariable(), (state.name,), ("past",)),
        Node("add", Add(), ("x", "past"), ("y",)),
        Node("assign", AssignVariable(), (kept, state.name), ()),
    )
    y = y if kept == "y" else act(rng, "y", x.shape, scale=2 * x.scale)
    tensors = {t.name: t for t in (x, state, past, y)}
    return verify(Graph("case", nodes, tensors, ("x",), ("y",)), "float")


CASES = (Cases(ReadVariable, case, INTEGERS),)
