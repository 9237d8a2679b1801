"""PACK against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.pack import case
from files import read_back
from floats import check_forward
from harness import act, check_cases, graph_of
from reading import refusal

from intaglio.errors import GraphError
from intaglio.ops.base import TfliteOp
from intaglio.ops.pack import Pack


def test_matches_oracle():
    check_cases(case, 250)


def test_is_read_back():
    rng = np.random.default_rng(1)
    xs = [act(rng, f"x{k}", (1, 3), "int8", 0.1, 3) for k in range(2)]
    assert read_back(graph_of(Pack(2), xs, [act(rng, "y", (1, 3, 2), "int8", 0.1, 3)])).op == Pack(2)


@pytest.mark.parametrize(
    ("axis", "count", "reason"), [(3, 2, "axis 3 does not exist"), (-4, 2, "axis -4"), (0, 3, "2 inputs and says 3")]
)
def test_refuses_nonsense(axis, count, reason):
    rng = np.random.default_rng(1)
    xs = [act(rng, f"x{k}", (1, 3), "int8", 0.1, 3) for k in range(2)]
    written = TfliteOp("PACK", ("x0", "x1"), "PackOptions", {"Axis": axis, "ValuesCount": count})
    assert reason in refusal(xs, [replace(xs[0], name="y", shape=(2, 1, 3))], written)


def test_an_axis_from_the_back():
    rng = np.random.default_rng(1)
    xs = [act(rng, f"x{k}", (1, 3), "int8", 0.1, 3) for k in range(2)]
    written = TfliteOp("PACK", ("x0", "x1"), "PackOptions", {"Axis": -1, "ValuesCount": 2})
    assert refusal(xs, [replace(xs[0], name="y", shape=(1, 3, 2))], written) == ""


def test_refuses_what_does_not_fit():
    rng = np.random.default_rng(1)
    xs = [act(rng, "x0", (1, 2), "int8", 0.1, 3), act(rng, "x1", (1, 2), "int8", 0.2, 3)]
    assert "quantized unlike x1" in Pack(1).check(xs, [act(rng, "y", (1, 2, 2), "int8", 0.1, 3)])[0]
    with pytest.raises(GraphError, match="one shape and dtype"):
        Pack(0).infer([xs[0], act(rng, "x1", (2, 2), "int8", 0.1, 3)], [])
    with pytest.raises(GraphError, match="axis 3"):
        Pack(3).infer(xs, [])


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        graph = case(rng, ("int8",))
        batched = graph.nodes[0].op.axis > 0 and all(not t.is_const for t in graph.tensors.values())
        check_forward(graph, rng, 0.01, batched)
