"""MAX_POOL_2D against the oracle."""

from dataclasses import replace

import numpy as np
from floats import check_forward
from harness import act, check_cases, graph_of
from pooling import pool_case

from intaglio.ops.max_pool2d import MaxPool2D


def test_matches_oracle():
    check_cases(lambda rng: pool_case(rng, MaxPool2D), 250)


def test_pads_that_only_an_explicit_pad_can_say():
    """The writer puts a PADV2 with the lowest value in front; windows of nothing but padding occur too."""

    def case(rng):
        op = MaxPool2D((2, 2), (1, 2), (2, 1, 3, 0), str(rng.choice(["none", "relu"])))
        x = act(rng, "x", (1, int(rng.integers(2, 6)), int(rng.integers(2, 6)), 2))
        return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])

    check_cases(case, 20)


def test_refuses_another_output_scale():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (1, 4, 4, 1), "int8", 0.1, 0), act(rng, "y", (1, 4, 4, 1), "int8", 0.2, 0)
    assert "quantized unlike" in MaxPool2D().check([x], [y])[0]


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        check_forward(pool_case(rng, MaxPool2D), rng, 0.51)
