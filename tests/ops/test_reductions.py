"""SUM, REDUCE_MAX and REDUCE_MIN against the oracle; MEAN has a test of its own."""

import numpy as np
import pytest
from files import read_back
from floats import check_forward
from harness import act, check_cases
from reductions import reduction_case

from intaglio.ops.reduce_max import ReduceMax
from intaglio.ops.reduce_min import ReduceMin
from intaglio.ops.reduce_sum import ReduceSum


@pytest.mark.parametrize("kind", [ReduceSum, ReduceMax, ReduceMin])
def test_matches_oracle(kind):
    check_cases(lambda rng: reduction_case(rng, kind), 250)


@pytest.mark.parametrize("kind", [ReduceSum, ReduceMax, ReduceMin])
def test_beyond_the_oracle(kind):
    check_cases(lambda rng: reduction_case(rng, kind, (3, 4, 5, 6), 6), 30, judge=False)


def test_check_refuses_unlike_scales():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (2, 3), scale=1.0), act(rng, "y", (2,), scale=2.0)
    assert "quantized as x" in ReduceMax((1,)).check([x], [y])[0]
    fine = act(rng, "y", (2,), scale=1e-8)
    assert "32 bits" in ReduceSum((1,)).check([x], [fine])[0]


@pytest.mark.parametrize("kind", [ReduceSum, ReduceMax, ReduceMin])
def test_float_and_file(kind):
    for i in range(20):
        rng = np.random.default_rng([2, i])
        graph = reduction_case(rng, kind)
        check_forward(graph, rng, 0.8, batched=False)
        assert read_back(graph).op == graph.nodes[0].op
