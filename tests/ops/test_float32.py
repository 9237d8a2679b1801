"""Float32 kernels: the random cases of the int8 operators, in floats. NumPy reference = C = TFLM's float kernels,
within rounding; C runs under ASan and UBSan, and compiles without a single double."""

import subprocess
from dataclasses import replace

import cases as operators
import harness
import numpy as np
import pytest
from every_operator import feeds, in_floats, random_of
from harness import act, const, graph_of

from intaglio import assets, pipeline
from intaglio.errors import GraphError, UnsupportedError
from intaglio.graph import Quant, Tensor, verify
from intaglio.ops.add import Add
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.hard_swish import HardSwish
from intaglio.ops.logistic import Logistic
from intaglio.ops.pad import Pad
from intaglio.ops.softmax import Softmax
from intaglio.ops.tanh import Tanh

TOLERANCE = 2e-5
"""Of the largest result, or of the largest input where results cancel to less."""


def cases(each=12):
    """(whether TFLM has it, graph, inputs)."""
    for found in operators.every():
        for i in range(each if "float32" in found.dtypes else 0):
            rng = random_of(found.name, 3, i)
            graph = replace(in_floats(found.make(rng)), name=f"{found.name}_{i}")
            yield found.oracle, pipeline.executable(graph), feeds(graph, rng)


def test_kernels_and_tflm_come_close_to_the_reference():
    judged, graphs, feeds = zip(*cases(), strict=True)
    for graph in graphs:
        assert not [p for n in graph.nodes for p in n.op.check(graph.ins(n), graph.outs(n))]
    expected = [harness.numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    judged = [i for i, has in enumerate(judged) if has]
    tflm = dict(zip(judged, harness.tflm([graphs[i] for i in judged], [feeds[i] for i in judged]), strict=True))
    for what, results in (("C", dict(enumerate(harness.host_c(graphs, feeds)))), ("TFLM", tflm)):
        for i, got in results.items():
            graph, rows, want = graphs[i], feeds[i], expected[i]
            for row, a, b in zip(rows, want, got, strict=True):
                largest = max([np.abs(x).max() for x in (*row, *a)] + [1e-6])
                for x, y in zip(a, b, strict=True):
                    assert x.dtype == np.float32 and np.isfinite(x).all()
                    error = np.abs(x.reshape(-1).astype(float) - y.reshape(-1)).max() / largest
                    assert error < TOLERANCE, f"{what} {graph.name}: {error} {graph.nodes[0].op}"


def test_no_kernel_computes_in_double():
    kernels = sorted((assets.root() / "runtime_c" / "kernels" / "c").glob("*_f32.c"))
    assert len(kernels) > 15
    for path in kernels:
        command = ["gcc", *harness.STRICT, "-Wdouble-promotion", "-Wfloat-conversion", "-fsyntax-only", path]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "double" not in path.read_text()


def test_saturated_curves_are_finite():
    """Beyond where exp overflows or vanishes."""
    x = np.array([[-1e30, -200.0, -90.0, 0.0, 90.0, 200.0, 1e30]], np.float32)
    for op in (Tanh(), Logistic(), HardSwish(), Softmax()):
        t = Tensor("x", x.shape, "float32")
        graph = replace(graph_of(op, [t], [replace(t, name="y")]), name="curve")
        [[[want]]] = [harness.numpy_reference(graph, [[x]])]
        [[[got]]] = harness.host_c([graph], [[[x]]])
        assert np.isfinite(got).all()
        assert np.allclose(got, want, rtol=1e-6, atol=1e-30)


def test_pad_writes_the_bits_of_a_float():
    t = Tensor("x", (1, 2), "float32")
    lowest = np.finfo(np.float32).min
    for value, want in ((-1.5, -1.5), (-0.0, 0.0), (float(lowest), lowest)):
        op = Pad(((0, 0), (1, 2)), value)
        graph = replace(graph_of(op, [t], [Tensor("y", (1, 5), "float32")]), name="pad")
        [[[got]]] = harness.host_c([graph], [[[np.ones((1, 2), np.float32)]]])
        assert got.ravel().tolist() == [want, 1.0, 1.0, want, want]


def test_mixtures_are_refused():
    quant = Quant((0.1,), (0,))
    w = const("w", np.ones((1, 1, 1, 1), np.int8), quant)
    graph = graph_of(Conv2D(), [Tensor("x", (1, 1, 1, 1), "float32"), w], [Tensor("y", (1, 1, 1, 1), "float32")])
    [problem] = Conv2D().check(graph.ins(graph.nodes[0]), graph.outs(graph.nodes[0]))
    assert problem == "it mixes float32 with int8 (w)"
    with pytest.raises(GraphError, match="all float32, or none"):
        verify(graph, "quantized")
    # Weights in integers under floats are turned into floats by the float passes.
    assert b"itg_conv2d_f32" in pipeline.compile_graph(graph, "host")["case.c"]


def test_constants_that_c_cannot_hold_are_refused():
    x = act(np.random.default_rng(0), "x", (1, 2), "float32")
    graph = graph_of(Add(), [x, const("c", np.array([[1.0, np.inf]], np.float32))], [replace(x, name="y")])
    with pytest.raises(UnsupportedError, match="c: it holds NaN or infinite values"):
        pipeline.compile_graph(graph, "host")
