"""RESHAPE, SQUEEZE and EXPAND_DIMS against the oracle, as files hold them."""

from dataclasses import replace

import numpy as np
import pytest
from floats import check_forward
from harness import act, graph_of
from reading import check_written, refusal

from intaglio.errors import GraphError
from intaglio.ops.base import TfliteOp
from intaglio.ops.reshape import Reshape


def pair(rng, shape, other):
    x = act(rng, "x", shape)
    return x, replace(x, name="y", shape=tuple(int(d) for d in other))


def reshaped(rng):
    sizes = [int(d) for d in rng.integers(1, 6, int(rng.integers(1, 5)))]
    other = [int(d) for d in rng.permutation(sizes)]
    if len(other) > 1 and rng.random() < 0.5:
        other = [other[0] * other[1], *other[2:]]
    x, y = pair(rng, sizes, other)
    wanted = np.array(other, np.int32)
    if rng.random() < 0.5:
        wanted[int(rng.integers(len(wanted)))] = -1
    return [x], [y], TfliteOp("RESHAPE", ("x", wanted), "ReshapeOptions", {"NewShape": wanted})


def squeezed(rng):
    sizes = [int(d) for d in rng.choice([1, 1, 2, 3], int(rng.integers(2, 6)))]
    ones = [d for d, n in enumerate(sizes) if n == 1]
    dropped = sorted(int(d) for d in rng.permutation(ones)[: int(rng.integers(0, len(ones) + 1))])
    gone = dropped or ones
    x, y = pair(rng, sizes, [n for d, n in enumerate(sizes) if d not in gone])
    signs = [d - len(sizes) if rng.random() < 0.3 else d for d in dropped]
    return [x], [y], TfliteOp("SQUEEZE", ("x",), "SqueezeOptions", {"SqueezeDims": np.array(signs, np.int32)})


def expanded(rng):
    sizes = [int(d) for d in rng.integers(1, 6, int(rng.integers(1, 5)))]
    axis = int(rng.integers(-len(sizes) - 1, len(sizes) + 1))
    at = axis + len(sizes) + 1 if axis < 0 else axis
    x, y = pair(rng, sizes, [*sizes[:at], 1, *sizes[at:]])
    return [x], [y], TfliteOp("EXPAND_DIMS", ("x", np.array(axis, np.int32)), "ExpandDimsOptions")


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
