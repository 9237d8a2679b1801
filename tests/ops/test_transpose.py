"""TRANSPOSE against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.transpose import case_of
from floats import check_forward
from harness import act, check_cases, graph_of
from reading import refusal

from intaglio.ops.base import TfliteOp
from intaglio.ops.transpose import Transpose


def test_matches_oracle():
    check_cases(lambda rng: case_of(rng, [1, 2, 3, 4, 5], ["int8", "int8", "int16"]), 250)


def test_beyond_the_oracle():
    """TFLM stops at five dimensions."""
    check_cases(lambda rng: case_of(rng, [6], ["int8", "int32"]), 40, judge=False)


def test_refuses_more_loops_than_the_kernel_has():
    x = act(np.random.default_rng(1), "x", (2,) * 7, "int8", 0.1, 3)
    assert "more than 6" in Transpose((6, 5, 4, 3, 2, 1, 0)).check([x], [x])[0]
    assert Transpose((5, 6, 0, 1, 2, 3, 4)).check([x], [x]) == []


@pytest.mark.parametrize(
    ("shape", "perm", "kernel", "rank"),
    [((1, 4, 1, 5), (2, 1, 0, 3), "copy", 0), ((1, 4, 6, 5), (0, 2, 1, 3), "strided_copy", 2),
     ((1, 4, 6, 5), (0, 3, 1, 2), "strided_copy", 2)],
)  # fmt: skip
def test_lowers_to_few_loops(shape, perm, kernel, rank):
    x = act(np.random.default_rng(1), "x", shape, "int8", 0.1, 3)
    op = Transpose(perm)
    graph = graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])
    call = op.lower(graph.nodes[0], graph)
    assert call.kernel == kernel
    if rank:
        assert dict(call.args[2].fields)["rank"] == rank


@pytest.mark.parametrize(
    ("perm", "reason"), [([0, 0], "not an order"), ([0, 2], "axis 2"), ([0], "orders 1"), ([0, 1, 2], "orders 3")]
)
def test_refuses_nonsense(perm, reason):
    x = act(np.random.default_rng(1), "x", (3, 3), "int8", 0.1, 3)
    written = TfliteOp("TRANSPOSE", ("x", np.array(perm, np.int32)), "TransposeOptions")
    assert reason in refusal([x], [replace(x, name="y")], written)


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        graph = case_of(rng, [2, 3, 4], ["int8"])
        check_forward(graph, rng, 0.01, batched=graph.nodes[0].op.perm[0] == 0)
