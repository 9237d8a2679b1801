"""SOFTMAX against the oracle."""

import numpy as np
import pytest
from cases.softmax import case_of
from floats import check_forward
from harness import act, check_cases

from intaglio.ops.softmax import MAX_ROW, Softmax, exp_table


def test_matches_oracle():
    check_cases(lambda rng: case_of(rng, int(rng.choice([1, 2, 3, 10, 12, 100, 300]))), 300)


def test_long_rows():
    """TFLM aborts where the sum reaches 512, which a row of like inputs does."""
    check_cases(lambda rng: case_of(rng, int(rng.choice([511, 512, 513, 1000, MAX_ROW]))), 10, judge=False)


def test_table_is_the_exponential():
    x = act(np.random.default_rng(1), "x", (1, 10), "int8", 0.1, 0)
    table = exp_table(1.0, x) / 2.0**31
    assert np.abs(table - np.exp(-0.1 * np.arange(table.size))).max() < 1e-6
    assert table.size < 160


@pytest.mark.parametrize(
    ("shape", "scale", "zero_point", "reason"),
    [((1, MAX_ROW + 1), 1 / 256, -128, "rows have"), ((1, 4), 1 / 128, -128, "1/256"), ((1, 4), 1 / 256, 0, "1/256")],
)
def test_refuses(shape, scale, zero_point, reason):
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", shape, "int8", 0.1, 0), act(rng, "y", shape, "int8", scale, zero_point)
    assert reason in Softmax().check([x], [y])[0]


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        check_forward(case_of(rng, int(rng.integers(1, 20))), rng, 1.0, batched=False)
