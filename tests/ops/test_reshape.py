"""RESHAPE, SQUEEZE and EXPAND_DIMS against the oracle, as files hold them."""

import numpy as np
import pytest
from cases.reshape import expanded, pair, reshaped, squeezed
from floats import check_forward
from harness import graph_of
from reading import check_written, refusal

from intaglio.errors import GraphError
from intaglio.ops.base import TfliteOp
from intaglio.ops.reshape import Reshape


@pytest.mark.parametrize("make", [reshaped, squeezed, expanded])
def test_matches_oracle(make):
    check_written(make, 200)


def test_a_shape_that_contradicts_the_output_is_refused():
    x, y = pair(np.random.default_rng(1), (2, 6), (3, 4))
    shape = np.array([4, 3], np.int32)
    assert "shape (4, 3)" in refusal([x], [y], TfliteOp("RESHAPE", ("x", shape), "ReshapeOptions", {}))


def test_elements_must_be_as_many():
    x, _ = pair(np.random.default_rng(1), (2, 6), (3, 4))
    with pytest.raises(GraphError, match="12 elements"):
        Reshape((5, 2)).infer([x], [])


def test_float_meaning():
    rng = np.random.default_rng(2)
    x, y = pair(rng, (1, 2, 6), (1, 3, 4))
    check_forward(graph_of(Reshape((1, 3, 4)), [x], [y]), rng, 0.5)
