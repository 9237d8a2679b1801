"""ADD against the oracle, and how shapes become loops."""

import numpy as np
import pytest
from cases.add import case
from elementwise_cases import check_float_and_file
from harness import act, check_cases, graph_of

from intaglio import interpret
from intaglio.errors import GraphError
from intaglio.ops.add import Add
from intaglio.ops.elementwise import Broadcast, broadcast


def test_matches_oracle():
    check_cases(case, 300)


def same_tensor(rng):
    x = act(rng, "x", (1, 3, 4))
    return graph_of(Add(), [x, x], [act(rng, "y", (1, 3, 4), scale=2 * x.scale)])


def test_adds_a_tensor_to_itself():
    check_cases(same_tensor, 20)


def test_loops_are_merged():
    assert broadcast((2, 3, 4), (2, 3, 4)) == Broadcast((1, 1, 1, 24), (0, 0, 0, 1), (0, 0, 0, 1))
    assert broadcast((2, 3, 4), (4,)) == Broadcast((1, 1, 6, 4), (0, 0, 4, 1), (0, 0, 0, 1))
    assert broadcast((2, 3, 4), ()) == Broadcast((1, 1, 1, 24), (0, 0, 0, 1), (0, 0, 0, 0))
    assert broadcast((2, 1, 4), (3, 1)) == Broadcast((1, 2, 3, 4), (0, 4, 0, 1), (0, 0, 1, 0))
    assert broadcast((2, 1, 2, 1, 2), (1, 2, 1, 2, 1)) is None


def test_refuses_shapes_that_do_not_broadcast():
    rng = np.random.default_rng(1)
    with pytest.raises(GraphError, match="do not broadcast"):
        Add().infer([act(rng, "a", (2, 3)), act(rng, "b", (2, 4))], [])


def test_check_refuses_an_output_scale_that_aborts_tflm():
    rng = np.random.default_rng(1)
    a, b = act(rng, "a", (2,), scale=1.0), act(rng, "b", (2,), scale=1.0)
    assert "too far" in Add().check([a, b], [act(rng, "y", (2,), scale=2.0**-20)])[0]


def test_known_sum():
    rng = np.random.default_rng(1)
    a, b, y = (act(rng, n, (3,), scale=0.5, zero_point=0) for n in "aby")
    graph = graph_of(Add("relu"), [a, b], [y])
    found = interpret.step(graph, [np.array([1, 100, -7], np.int8), np.array([2, 100, 3], np.int8)], {})[0][0]
    assert found.tolist() == [3, 127, 0]


def test_float_and_file():
    check_float_and_file(case)
