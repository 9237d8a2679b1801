"""DEPTH_TO_SPACE and SPACE_TO_DEPTH against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.depth_to_space import case
from files import read_back
from files import refusal as forged
from floats import check_forward
from harness import act, check_cases, graph_of

from intaglio.errors import GraphError
from intaglio.ops.depth_to_space import DepthToSpace
from intaglio.ops.space_to_depth import SpaceToDepth


@pytest.mark.parametrize("kind", [DepthToSpace, SpaceToDepth])
def test_matches_oracle(kind):
    check_cases(lambda rng: case(rng, kind), 200)


@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_moves_any_type(dtype):
    def make(rng):
        op = DepthToSpace(2) if rng.random() < 0.5 else SpaceToDepth(2)
        x = replace(act(rng, "x", (1, 4, 6, 8)), dtype=dtype, quant=None)
        return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])

    check_cases(make, 8, judge=False)


def test_undo_each_other():
    rng = np.random.default_rng(1)
    graph = case(rng, block=3)
    x, y = graph.tensors["x"], graph.tensors["y"]
    q = rng.integers(-128, 128, x.shape).astype(np.int8)
    [there] = DepthToSpace(3).reference([q], [x], [y])
    assert (SpaceToDepth(3).reference([there], [y], [x])[0] == q).all()


def test_sizes_that_do_not_divide():
    rng = np.random.default_rng(1)
    with pytest.raises(GraphError, match="do not divide"):
        DepthToSpace(2).infer([act(rng, "x", (1, 2, 2, 6))], [])
    with pytest.raises(GraphError, match="does not divide"):
        SpaceToDepth(2).infer([act(rng, "x", (1, 3, 2, 6))], [])
    for kind in (DepthToSpace, SpaceToDepth):
        assert "divide" in forged(case(rng, kind, 2), BlockSize=0)


@pytest.mark.parametrize("kind", [DepthToSpace, SpaceToDepth])
def test_float_and_file(kind):
    for i in range(10):
        rng = np.random.default_rng([2, i])
        graph = case(rng, kind)
        check_forward(graph, rng, 0.01)
        assert read_back(graph).op == graph.nodes[0].op
