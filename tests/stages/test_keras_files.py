"""Keras's files (tests/keras, made by scripts/make_keras_models.py) mean what they mean in the wheel or in LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import compare, host_c, inputs_for, numpy_reference

pytest.importorskip("ai_edge_litert")

from keras_models import FILES, LIMIT, judge, litert

from intaglio import models, oracle, pipeline
from intaglio.errors import UnsupportedError
from intaglio.graph import computes_in_float
from intaglio.profile import relative_error
from intaglio.summary import summarize

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"


def case(name: str) -> Path:
    if not CASES.exists():
        pytest.skip("the case files are not beside this checkout (../shared/cases)")
    return CASES / name


def test_what_is_committed():
    networks = {p.stem.rsplit("-", 2)[0] for p in FILES}
    kinds = {tuple(p.stem.rsplit("-", 2)[1:]) for p in FILES}
    modes = {"float", "dynamic", "float16", "int8", "uint8", "int16"}
    assert len(networks) >= 25 and {("any", m) for m in modes} <= kinds and ("one", "int8") in kinds
    assert sum(p.stat().st_size for p in FILES) < 700_000


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_outputs(path):
    found = judge(path)
    assert found["problems"] == [], found


def test_c_is_the_reference():
    """All that compute in integers, in one program under ASan and UBSan."""
    graphs = [pipeline.load(p) for p in FILES if not p.stem.endswith(("float", "float16", "dynamic"))]
    graphs = [g for g in graphs if not computes_in_float(g)]
    assert len(graphs) > 40
    feeds = [inputs_for(g, np.random.default_rng(i), random=1) for i, g in enumerate(graphs)]
    expected = [numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    compare("host C", graphs, feeds, expected, host_c(graphs, feeds), 0)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_no_shape_is_left_to_run_time(path):
    computed = [t for t in pipeline.load(path).tensors.values() if not t.is_const]
    assert [t.name for t in computed if t.dtype in ("int32", "int64")] == []


@pytest.mark.parametrize("name", ["har_conv1d_int8", "convT_dyn_int8", "timedist_int8"])
def test_case_bytes(name):
    path = case(f"{name}.tflite")
    graph = pipeline.load(path)
    [t] = [graph.tensors[n] for n in graph.inputs]
    x = np.random.default_rng(5).integers(-128, 128, (20, *t.shape)).astype(np.int8)
    rows = [[one] for one in x]
    [found] = oracle.run(path.read_bytes(), [x])
    judged = [[one] for one in found]
    expected = numpy_reference(graph, rows)
    compare("oracle", [graph], [rows], [expected], [judged], 5)
    compare("host C", [graph], [rows], [expected], host_c([graph], [rows]), 5)


def test_case_floats():
    path = case("cnn_flatten_f32.tflite")
    graph = pipeline.executable(pipeline.load(path))
    rows = [[x] for x in np.random.default_rng(5).uniform(-1, 1, (8, 1, 24, 24, 1)).astype(np.float32)]
    _, want = litert(path.read_bytes(), [np.stack([r[0] for r in rows])], graph)
    assert relative_error([np.stack([out for [out] in host_c([graph], [rows])[0]])], want) < LIMIT


@pytest.mark.parametrize(
    ("name", "reason", "kind"),
    [
        ("lstm_b1_f32", "WHILE .*a loop, as Keras writes an LSTM, GRU or RNN layer", "float"),
        ("gru_b1_f32", "WHILE .*a loop, as Keras writes an LSTM, GRU or RNN layer", "float"),
        ("attn_b1_int8", "BATCH_MATMUL .*a product of two computed tensors, as in attention", "int8"),
    ],
)
def test_case_refused_by_name(name, reason, kind):
    path = case(f"{name}.tflite")
    with pytest.raises(UnsupportedError, match=reason):
        pipeline.load(path)
    summary = summarize(models.shown(path))
    assert summary.kind == kind and summary.contradiction == ""


@pytest.mark.parametrize("name", ["state_without_call_once", "packed_const_output"])
def test_hostile_case(name):
    path = case(f"hostile/{name}.tflite")
    graph = pipeline.load(path)
    rows = inputs_for(graph, np.random.default_rng(5))
    expected = numpy_reference(graph, rows)
    compare("host C", [graph], [rows], [expected], host_c([graph], [rows]), 5)
    if name == "state_without_call_once":
        [judged] = oracle.run(path.read_bytes(), [np.stack([r[0] for r in rows])])
        assert [j.tolist() for j in judged] == [e[0].tolist() for e in expected]
