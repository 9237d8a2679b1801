"""SPLIT and SPLIT_V against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.split import case
from files import read_back
from floats import check_forward
from harness import act, check_cases, graph_of
from reading import refusal

from intaglio.ops.base import TfliteOp
from intaglio.ops.split import Split


def test_matches_oracle():
    check_cases(case, 200)


@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 2, 3)])
def test_is_read_back(sizes):
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 6), "int8", 0.1, 3)
    outs = [replace(x, name=f"y{k}", shape=(1, s)) for k, s in enumerate(sizes)]
    assert read_back(graph_of(Split(1, sizes), [x], outs)).op == Split(1, sizes)


@pytest.mark.parametrize(
    ("sizes", "axis", "reason"),
    [([3, 4], 1, "add up"), ([3, -5], 1, "sizes are"), ([-1, -1], 1, "sizes are"), ([9, -1], 1, "cannot cut"),
     ([3], 1, "sizes are"), ([3, 3], 2, "axis 2 does not exist")],
)  # fmt: skip
def test_refuses_nonsense(sizes, axis, reason):
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 6), "int8", 0.1, 3)
    outs = [replace(x, name=f"y{k}", shape=(1, 3)) for k in range(2)]
    written = TfliteOp("SPLIT_V", ("x", np.array(sizes, np.int32), np.array(axis, np.int32)), "SplitVOptions")
    assert reason in refusal([x], outs, written)


def test_minus_one_takes_the_rest():
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 6), "int8", 0.1, 3)
    outs = [replace(x, name="y0", shape=(1, 2)), replace(x, name="y1", shape=(1, 4))]
    written = TfliteOp("SPLIT_V", ("x", np.array([2, -1], np.int32), np.array(-1, np.int32)), "SplitVOptions")
    assert refusal([x], outs, written) == ""


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        graph = case(rng)
        if graph.tensors["x"].dtype == "int8":
            batched = graph.nodes[0].op.axis > 0
            check_forward(graph, rng, 0.01, batched)
