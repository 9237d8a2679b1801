"""MEAN against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.mean import case_of, halves
from floats import check_forward
from harness import act, check_cases
from reading import refusal

from intaglio.ops.base import TfliteOp


def test_matches_oracle():
    """TFLM keeps the axes in an array of two, its indices in one of four."""
    check_cases(lambda rng: case_of(rng, [1, 2, 3, 4], 2), 300)


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
