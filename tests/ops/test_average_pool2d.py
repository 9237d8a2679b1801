"""AVERAGE_POOL_2D against the oracle."""

from dataclasses import replace

import numpy as np
from floats import check_forward
from harness import act, check_cases, graph_of
from pooling import pool_case

from intaglio.ops.average_pool2d import AveragePool2D


def test_matches_oracle():
    check_cases(lambda rng: pool_case(rng, AveragePool2D), 250)


def test_pads_that_only_explicit_padding_can_say():
    """TFLite has no AVERAGE_POOL_2D that leaves such padding out of the count."""

    def case(rng):
        op = AveragePool2D((3, 4), (1, 2), (2, 1, 3, 0))
        x = act(rng, "x", (1, int(rng.integers(3, 8)), int(rng.integers(4, 9)), 2))
        return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])

    check_cases(case, 20, judge=False)


def test_refuses_windows_that_may_be_empty():
    x = act(np.random.default_rng(1), "x", (1, 4, 4, 1), "int8", 0.1, 0)
    op = AveragePool2D((2, 2), (1, 1), (2, 0, 0, 0))
    assert "may be empty" in op.check([x], [x])[0]


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        check_forward(pool_case(rng, AveragePool2D), rng, 0.51)
