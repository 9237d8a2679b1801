"""SUM, REDUCE_MAX and REDUCE_MIN against the oracle; MEAN has a test of its own."""

from dataclasses import replace

import numpy as np
import pytest
from elementwise_cases import decimal, halfway
from files import read_back
from floats import check_forward
from harness import act, check_cases, graph_of

from intaglio.ops.reduce_max import ReduceMax
from intaglio.ops.reduce_min import ReduceMin
from intaglio.ops.reduce_sum import ReduceSum


def case(rng, kind, ranks=(1, 2, 3, 4), most=2):
    rank = int(rng.choice(ranks))
    shape = [int(d) for d in rng.integers(1, 8, rank)]
    count = int(rng.integers(1, min(most, rank) + 1))
    op = kind(tuple(sorted(int(a) for a in rng.choice(rank, count, replace=False))), bool(rng.random() < 0.5))
    even = rng.random() < 0.4
    x = act(rng, "x", shape, scale=decimal(rng) if even else None)
    y = replace(x, name="y", shape=op.infer([x], [])[0][0])
    if kind is ReduceSum:
        y = act(rng, "y", y.shape, scale=halfway(rng, x.scale) if even else x.scale * np.exp(rng.uniform(-2, 4)))
    return graph_of(op, [x], [y])


@pytest.mark.parametrize("kind", [ReduceSum, ReduceMax, ReduceMin])
def test_matches_oracle(kind):
    check_cases(lambda rng: case(rng, kind), 250)


@pytest.mark.parametrize("kind", [ReduceSum, ReduceMax, ReduceMin])
def test_beyond_the_oracle(kind):
    check_cases(lambda rng: case(rng, kind, (3, 4, 5, 6), 6), 30, judge=False)


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
        graph = case(rng, kind)
        check_forward(graph, rng, 0.8, batched=False)
        assert read_back(graph).op == graph.nodes[0].op
