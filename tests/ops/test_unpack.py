"""UNPACK against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.unpack import case
from files import read_back
from floats import check_forward
from harness import act, check_cases, graph_of
from reading import refusal

from intaglio.errors import GraphError
from intaglio.ops.base import TfliteOp
from intaglio.ops.unpack import Unpack


def test_matches_oracle():
    check_cases(case, 250)


def test_is_read_back():
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 2, 6), "int8", 0.1, 3)
    outs = [replace(x, name=f"y{k}", shape=(1, 6)) for k in range(2)]
    assert read_back(graph_of(Unpack(1, 2), [x], outs)).op == Unpack(1, 2)


@pytest.mark.parametrize(
    ("axis", "count", "reason"),
    [(3, 2, "axis 3 does not exist"), (-4, 2, "axis -4"), (1, 3, "2 outputs and says 3"), (2, 2, "cannot take")],
)
def test_refuses_nonsense(axis, count, reason):
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 2, 6), "int8", 0.1, 3)
    outs = [replace(x, name=f"y{k}", shape=(1, 6)) for k in range(2)]
    written = TfliteOp("UNPACK", ("x",), "UnpackOptions", {"Axis": axis, "Num": count})
    assert reason in refusal([x], outs, written)


def test_an_axis_from_the_back():
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 6, 2), "int8", 0.1, 3)
    outs = [replace(x, name=f"y{k}", shape=(1, 6)) for k in range(2)]
    assert refusal([x], outs, TfliteOp("UNPACK", ("x",), "UnpackOptions", {"Axis": -1, "Num": 2})) == ""


def test_refuses_what_does_not_fit():
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 2), "int8", 0.1, 3)
    outs = [act(rng, f"y{k}", (1,), "int8", 0.2, 3) for k in range(2)]
    assert "quantized unlike x" in Unpack(1, 2).check([x], outs)[0]
    with pytest.raises(GraphError, match="along axis 2"):
        Unpack(2, 2).infer([x], [])


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        graph = case(rng, ("int8",))
        check_forward(graph, rng, 0.01, graph.nodes[0].op.axis > 0)
