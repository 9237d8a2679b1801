"""MEAN against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from elementwise_cases import decimal, halfway
from floats import check_forward
from harness import act, check_cases, graph_of
from reading import refusal

from intaglio.ops.base import TfliteOp
from intaglio.ops.mean import Mean


def case_of(rng, ranks, most):
    rank = int(rng.choice(ranks))
    shape = [int(d) for d in rng.integers(1, 8, rank)]
    count = int(rng.integers(1, min(most, rank) + 1))
    op = Mean(tuple(sorted(int(a) for a in rng.choice(rank, count, replace=False))), bool(rng.random() < 0.5))
    x = act(rng, "x", shape)
    y = act(rng, "y", op.infer([x], [])[0][0], scale=x.scale * np.exp(rng.uniform(-4, 2)))
    return graph_of(op, [x], [replace(y, quant=x.quant) if rng.random() < 0.3 else y])


def test_matches_oracle():
    """TFLM keeps the axes in an array of two, its indices in one of four."""
    check_cases(lambda rng: case_of(rng, [1, 2, 3, 4], 2), 300)


def halves(rng):
    """Means of pairs at scales like 0.07: half way between two outputs, see `halfway`."""
    x = act(rng, "x", (1, 100, 2, 3), scale=decimal(rng))
    return graph_of(Mean((2,), False), [x], [act(rng, "y", (1, 100, 3), scale=halfway(rng, x.scale))])


def test_halves_match_oracle():
    check_cases(halves, 100)


def test_beyond_the_oracle():
    check_cases(lambda rng: case_of(rng, [3, 4, 5, 6], 6), 60, judge=False)


@pytest.mark.parametrize(("axes", "reason"), [([2], "axis 2"), ([-3], "axis -3"), ([0] * 9, "9 axes"), ([1, -1], "")])
def test_axes_from_a_file(axes, reason):
    x = act(np.random.default_rng(1), "x", (3, 4), "int8", 0.1, 3)
    written = TfliteOp("MEAN", ("x", np.array(axes, np.int32)), "ReducerOptions", {"KeepDims": False})
    found = refusal([x], [replace(x, name="y", shape=(3,))], written)
    assert reason in found and bool(reason) == bool(found)


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        check_forward(case_of(rng, [1, 2, 3, 4], 2), rng, 0.8, batched=False)
