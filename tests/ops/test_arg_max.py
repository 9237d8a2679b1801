"""ARG_MAX against the oracle."""

import numpy as np
import pytest
from cases.arg_max import case
from files import read_back
from harness import act, check_cases
from reading import refusal

from intaglio.errors import GraphError
from intaglio.graph import Tensor
from intaglio.ops.arg_max import ArgMax
from intaglio.ops.base import TfliteOp


def test_matches_oracle():
    check_cases(case, 200)


def test_file():
    for i in range(10):
        graph = case(np.random.default_rng([1, i]))
        assert read_back(graph).op == graph.nodes[0].op


@pytest.mark.parametrize(
    ("dtype", "axis", "reason"), [("int8", 2, "axis 2"), ("float32", 1, "float32"), ("int8", -1, "")]
)
def test_what_a_file_may_hold(dtype, axis, reason):
    x = act(np.random.default_rng(1), "x", (3, 4), dtype)
    written = TfliteOp("ARG_MAX", ("x", np.array(axis, np.int32)), "ArgMaxOptions", {"OutputType": 2})
    found = refusal([x], [Tensor("y", (3,), "int32")], written)
    assert reason in found and bool(reason) == bool(found)


def test_refuses_other_types_and_axes():
    x = Tensor("x", (3, 4), "int16")
    assert "int8 is supported" in ArgMax(1).check([x], [])[0]
    with pytest.raises(GraphError, match="dimension 2"):
        ArgMax(2).infer([x], [])
