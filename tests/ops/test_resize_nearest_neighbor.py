"""RESIZE_NEAREST_NEIGHBOR against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.resize_nearest_neighbor import case
from floats import check_forward
from harness import act, check_cases
from reading import refusal

from intaglio.ops.base import TfliteOp


def test_matches_oracle():
    check_cases(case, 300)


@pytest.mark.parametrize(("size", "reason"), [([0, 4], "resized"), ([4], "has 1"), ([1 << 30, 4], "resized")])
def test_refuses_nonsense(size, reason):
    x = act(np.random.default_rng(1), "x", (1, 2, 2, 1), "int8", 0.1, 3)
    written = TfliteOp("RESIZE_NEAREST_NEIGHBOR", ("x", np.array(size, np.int32)), "ResizeNearestNeighborOptions")
    assert reason in refusal([x], [replace(x, name="y", shape=(1, 4, 4, 1))], written)


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        check_forward(case(rng), rng, 0.01)
