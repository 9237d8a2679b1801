"""An exported file runs in TFLM and LiteRT with the bytes of the reference, or is refused with the runtime's name."""

import cases as operators
import every_operator
import exports
import numpy as np
import pytest
import runtimes
from elementwise_cases import decimal, halfway, unary_case
from exports import AS_IT_IS, OTHERWISE, REFUSED
from files import read_back
from harness import act, const, graph_of

import intaglio
from intaglio import interpret
from intaglio.emit import tflite as writer
from intaglio.errors import DataError, UnsupportedError
from intaglio.graph import Quant
from intaglio.lower.portable import portable, unlike
from intaglio.ops import all_ops
from intaglio.ops.exp import Exp
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.mul import Mul
from intaglio.ops.reduce_sum import ReduceSum
from intaglio.ops.relu import Relu
from intaglio.ops.transpose import Transpose

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")


@pytest.mark.parametrize("only", [("tflm", "litert"), ("tflm",), ("litert",)], ids="+".join)
def test_every_operator(only):
    rows = exports.judged(exports.cases(2, seed=5), only)
    assert not [f"{row.operator} {row.dtype} {row.wrong}" for row in rows if row.wrong]
    for row in rows:
        for said in row.said if REFUSED in row.how else ():
            named = any(name in said for name in ("TFLM", "LiteRT", "TFLite", "only C can say"))
            assert named, f"{row.operator}: {said}"
    whole = {row.operator: row for row in rows if row.dtype == "int8"}
    assert whole["conv2d"].cases == 2 and whole["softmax"].how == {AS_IT_IS: 2}
    assert whole["fully_connected"].how == ({AS_IT_IS: 2} if only == ("tflm",) else {OTHERWISE: 2})
    assert whole["square"].how == {OTHERWISE: 2}


def test_every_operator_is_among_the_cases():
    """What has no module in cases/ is named here."""
    without = set(all_ops()) - set(operators.by_module()) - {"unsupported"}
    assert not without, f"tests/ops/cases has no module for {', '.join(sorted(without))}"
    for name, found in operators.by_module().items():
        assert {c.op.name for c in found} == {name}
        for c in found:
            graph = c.make(every_operator.random_of(c.name, 1))
            assert c.op in [type(n.op) for n in graph.nodes], f"{c.name}: its graph has no such node"


def case(op, **more):
    return unary_case(np.random.default_rng(3), op, **more)


def test_what_has_no_form_names_the_runtime():
    graph = graph_of(ReduceSum((1,)), [act(None, "x", (1, 4), "int8", 0.1, 3)], [act(None, "y", (1,), "int8", 0.4, 3)])
    with pytest.raises(UnsupportedError, match=r"LiteRT adds .*For one runtime alone: --for tflm\."):
        portable(graph)
    assert portable(graph, ("tflm",))[1] == ()
    with pytest.raises(UnsupportedError) as refused:
        portable(graph, ("litert",))
    assert "For one runtime" not in str(refused.value)


def test_a_table_holds_every_byte():
    graph = case(Exp())
    made, (note,) = portable(graph)
    assert [type(n.op).__name__ for n in made.nodes] == ["Written"] * 3 and "TFLM has no int8 EXP" in note
    [table] = [t.data for t in made.tensors.values() if t.is_const and t.size == 256]
    x, y = graph.tensors["x"], graph.tensors["y"]
    assert (table == Exp().reference([np.arange(-128, 128).astype(np.int8)], [x], [y])[0]).all()


def test_a_clamp_on_one_grid_is_two_comparisons():
    x = act(None, "x", (1, 256), "int8", 0.05, 3)
    graph = graph_of(Relu("relu_n1_to_1"), [x], [act(None, "y", x.shape, "int8", 0.05, 3)])
    made, _ = portable(graph)
    assert [n.op.name for n in made.nodes] == ["maximum", "minimum"]
    q = np.arange(-128, 128).astype(np.int8)[None]
    assert (interpret.run(made, [q[None]])[0] == interpret.run(graph, [q[None]])[0]).all()


def test_dimensions_are_merged_before_they_are_moved_one_by_one():
    x = act(None, "x", (2, 1, 3, 2, 4, 2), "int8", 0.05, 3)
    orders = {(4, 5, 0, 1, 2, 3): 3, (0, 1, 2, 3, 4, 5): 3, (5, 4, 3, 2, 1, 0): 3}
    for perm, count in orders.items():
        op = Transpose(perm)
        y = act(None, "y", op.infer([x], [])[0][0], "int8", 0.05, 3)
        made, _ = portable(graph_of(op, [x], [y]))
        assert len(made.nodes) == count and all(len(t.shape) <= 5 for t in made.tensors.values() if t.name not in "xy")


def test_the_api_and_what_it_refuses(tmp_path):
    graph = case(Exp())
    assert "GATHER" in intaglio.export(graph, tmp_path / "a.tflite")[0]
    with pytest.raises(DataError, match="'tfjs'"):
        intaglio.export(graph, tmp_path / "b.tflite", runtimes=("tfjs",))
    assert not (tmp_path / "b.tflite").exists()
    assert unlike(graph) == ("exp",) and unlike(case(Relu())) == ()


def test_intaglio_writes_its_own_files_as_they_are():
    """What `compile` and `quantize` write is read again: no form of a runtime's is in it."""
    assert read_back(case(Exp())).op == Exp()
    x, y = act(None, "x", (1, 4), "int8", 0.1, 3), act(None, "y", (1, 2), "int8", 0.1, 3)
    layer = graph_of(FullyConnected(), [x, const("w", np.ones((2, 4), np.int8), Quant((0.1,), (0,)))], [y])
    assert runtimes.operators(writer.write(layer)) == {"FULLY_CONNECTED"}
    assert runtimes.operators(writer.write(portable(layer)[0])) == {"RESHAPE", "CONV_2D"}


def test_a_crash_is_said_and_the_next_file_runs():
    """TFLM's wheel ends the process on some files."""
    fine = writer.write(case(Relu()))
    x = np.zeros(case(Relu()).tensors["x"].shape, np.int8)
    found = runtimes.outputs("tflm", [b"TFL3 is no model" * 40, fine], [[[x]], [[x]]])
    assert isinstance(found[0], str) and not isinstance(found[1], str)


def test_a_product_that_litert_rounds_otherwise():
    """Scales whose product is no float32: LiteRT's file differs where the exported one is refused, or is a table."""
    rng = np.random.default_rng(2)
    for _ in range(300):
        x, by = act(rng, "x", (1, 256), scale=decimal(rng)), decimal(rng)
        y = act(rng, "y", (1, 256), scale=halfway(rng, x.scale * by))
        graph = graph_of(Mul(), [x, const("b", np.array([[1]], np.int8), Quant((by,), (0,)))], [y])
        if unlike(graph):
            break
    made, (note,) = portable(graph)
    assert "GATHER" in note and "LiteRT rounds" in note
    q = np.arange(-128, 128).astype(np.int8)[None]
    raw, table = runtimes.outputs("litert", [writer.write(graph), writer.write(made)], [[[q]], [[q]]])
    want = interpret.run(graph, [q[None]])[0][0]
    assert (table[0][0] == want).all() and (raw[0][0] != want).any()
