"""TILE: NumPy and C on any dimensions; the oracle lacks it, so it judges what is exported as CONCATENATION."""

import numpy as np
import pytest
from cases.tile import along_any, along_one, tiled
from files import read_back
from floats import check_forward
from harness import act, check_cases
from reading import refusal

from intaglio.errors import GraphError
from intaglio.ops.base import TfliteOp
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.tile import Tile


def test_matches_oracle_where_it_is_a_concatenation():
    check_cases(along_one, 150)


def test_c_is_the_reference():
    check_cases(along_any, 150, seed=2, judge=False)


def test_matches_litert():
    from intaglio.emit import tflite as writer

    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    for i in range(30):
        rng = np.random.default_rng([3, i])
        shape = [int(d) for d in rng.integers(1, 5, 3)]
        graph = tiled(rng, shape, (2, int(rng.integers(1, 4)), 12))
        x = rng.integers(-128, 128, shape).astype(np.int8)
        runtime = interpreter.Interpreter(
            model_content=writer.write(graph), experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF
        )
        runtime.allocate_tensors()
        runtime.set_tensor(runtime.get_input_details()[0]["index"], x)
        runtime.invoke()
        found = runtime.get_tensor(runtime.get_output_details()[0]["index"])
        node = graph.nodes[0]
        assert np.array_equal(found, node.op.reference([x], graph.ins(node), graph.outs(node))[0])


def test_is_read_back():
    rng = np.random.default_rng(1)
    assert read_back(tiled(rng, (1, 2, 3), (1, 2, 2))).op == Tile((1, 2, 2))
    assert read_back(tiled(rng, (1, 2, 3), (1, 1, 11))).op == Tile((1, 1, 11))
    assert read_back(tiled(rng, (1, 2, 3), (1, 2, 1))).op == Concatenation(1)


@pytest.mark.parametrize("times", [(1, 2), (1, 0, 2), (1, 1, -1), (1, 1, 1 << 30)])
def test_refuses_nonsense(times):
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 2, 3), "int8", 0.1, 3)
    y = act(rng, "y", (1, 2, 6), "int8", 0.1, 3)
    assert "repeat" in refusal([x], [y], TfliteOp("TILE", ("x", np.array(times, np.int32))))


def test_refuses_what_does_not_fit():
    rng = np.random.default_rng(1)
    x = act(rng, "x", (1, 2), "int8", 0.1, 3)
    assert "quantized unlike x" in Tile((1, 2)).check([x], [act(rng, "y", (1, 4), "int8", 0.2, 3)])[0]
    with pytest.raises(GraphError, match="cannot repeat"):
        Tile((2,)).infer([x], [])


def test_float_meaning():
    rng = np.random.default_rng(2)
    check_forward(tiled(rng, (1, 2, 3), (1, 3, 2)), rng, 0.01)
