"""Float32 kernels: the random cases of the int8 operators, in floats. NumPy reference = C = TFLM's float kernels,
within rounding; C runs under ASan and UBSan, and compiles without a single double."""

import subprocess
from dataclasses import replace

import harness
import numpy as np
import pytest
import test_add
import test_average_pool2d
import test_concatenation
import test_conv2d
import test_curve
import test_depth_to_space
import test_depthwise_conv2d
import test_fully_connected
import test_hard_swish
import test_l2_normalization
import test_layer_norm
import test_leaky_relu
import test_logistic
import test_max_pool2d
import test_maximum
import test_mean
import test_minimum
import test_mul
import test_pad
import test_prelu
import test_reductions
import test_relu
import test_resize_bilinear
import test_resize_nearest_neighbor
import test_softmax
import test_split
import test_squared_difference
import test_strided_slice
import test_sub
import test_tanh
import test_transpose
import test_transpose_conv
from harness import act, const, graph_of

from intaglio import assets, pipeline
from intaglio.errors import GraphError, UnsupportedError
from intaglio.graph import Quant, Tensor, constant, verify
from intaglio.ops.add import Add
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.div import Div
from intaglio.ops.pad import Pad
from intaglio.ops.relu import Relu
from intaglio.ops.tanh import Tanh

TOLERANCE = 2e-5
"""Of the largest result, or of the largest input where results cancel to less."""
CASES = {
    "abs": lambda rng: test_curve.unary_case(rng, test_curve.Abs()),
    "add": test_add.case,
    "average_pool2d": lambda rng: test_average_pool2d.pool_case(rng, test_average_pool2d.AveragePool2D),
    "concatenation": test_concatenation.case,
    "conv2d": test_conv2d.case,
    "depth_to_space": test_depth_to_space.case,
    "depthwise_conv2d": test_depthwise_conv2d.case,
    "div": lambda rng: test_mul.binary_case(rng, Div(), lambda a, b: a.scale / b.scale),
    "elu": lambda rng: test_curve.unary_case(rng, test_curve.Elu()),
    "elu_alpha": lambda rng: test_curve.unary_case(rng, test_curve.Elu(0.3)),
    "fully_connected": test_fully_connected.case,
    "gelu": lambda rng: test_curve.unary_case(rng, test_curve.Gelu(bool(rng.random() < 0.5))),
    "hard_sigmoid": lambda rng: test_curve.unary_case(rng, test_curve.HardSigmoid()),
    "hard_swish": test_hard_swish.case,
    "instance_norm": lambda rng: test_layer_norm.case(rng, test_layer_norm.InstanceNorm),
    "l2_normalization": test_l2_normalization.case,
    "layer_norm": lambda rng: test_layer_norm.case(rng, test_layer_norm.LayerNorm),
    "leaky_relu": test_leaky_relu.case,
    "logistic": test_logistic.case,
    "max_pool2d": lambda rng: test_max_pool2d.pool_case(rng, test_max_pool2d.MaxPool2D),
    "maximum": test_maximum.case,
    "mean": lambda rng: test_mean.case_of(rng, (1, 5), 3),
    "minimum": test_minimum.case,
    "mul": test_mul.case,
    "neg": lambda rng: test_curve.unary_case(rng, test_curve.Neg()),
    "pad": test_pad.case,
    "prelu": test_prelu.case,
    "reduce_max": lambda rng: test_reductions.case(rng, test_reductions.ReduceMax),
    "reduce_min": lambda rng: test_reductions.case(rng, test_reductions.ReduceMin),
    "reduce_sum": lambda rng: test_reductions.case(rng, test_reductions.ReduceSum),
    # The wheel lacks RELU_N1_TO_1; the fused one is in the others' cases.
    "relu": lambda rng: test_relu.unary_case(rng, Relu(str(rng.choice(["relu", "relu6"])))),
    "resize_bilinear": test_resize_bilinear.case,
    "resize_nearest_neighbor": test_resize_nearest_neighbor.case,
    "silu": lambda rng: test_curve.unary_case(rng, test_curve.Silu()),
    "softmax": lambda rng: test_softmax.case_of(rng, int(rng.integers(1, 40))),
    "space_to_depth": lambda rng: test_depth_to_space.case(rng, test_depth_to_space.SpaceToDepth),
    "split": test_split.case,
    "square": lambda rng: test_curve.unary_case(rng, test_curve.Square()),
    "squared_difference": test_squared_difference.case,
    "strided_slice": test_strided_slice.case,
    "sub": test_sub.case,
    "tanh": test_tanh.case,
    "transpose": lambda rng: test_transpose.case_of(rng, (1, 5), ["int8"]),
    "transpose_conv": test_transpose_conv.case,
}
UNJUDGED = ("gelu", "silu", "hard_sigmoid", "elu_alpha", "layer_norm", "instance_norm")
"""What TFLite or the wheel lacks. EXP and what wants positive numbers: test_curve.py."""


def in_floats(graph):
    """The same graph on the real numbers that its integers stand for."""
    tensors = {}
    for name, t in graph.tensors.items():
        if t.data is None:
            tensors[name] = Tensor(name, t.shape, "float32")
            continue
        along = [-1 if d == (t.quant.axis if t.quant else None) else 1 for d in range(len(t.shape))]
        scale = np.array(t.quant.scale).reshape(along) if t.quant and len(t.quant.scale) > 1 else (
            t.quant.scale[0] if t.quant else 0.01)  # fmt: skip
        zero = t.quant.zero_point[0] if t.quant else 0
        tensors[name] = constant(name, (scale * (t.data.astype(float) - zero)).astype(np.float32))
    return verify(replace(graph, tensors=tensors), "float")


def cases(each=12):
    for number, (name, make) in enumerate(CASES.items()):
        for i in range(each):
            rng = np.random.default_rng([3, number, i])
            graph = replace(in_floats(make(rng)), name=f"{name}_{i}")
            yield graph, harness.inputs_for(graph, rng)


def test_kernels_and_tflm_come_close_to_the_reference():
    graphs, feeds = zip(*cases(), strict=True)
    for graph in graphs:
        assert not [p for n in graph.nodes for p in n.op.check(graph.ins(n), graph.outs(n))]
    expected = [harness.numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    judged = [i for i, g in enumerate(graphs) if g.name.rsplit("_", 1)[0] not in UNJUDGED]
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
    for op in (Tanh(), test_logistic.Logistic(), test_hard_swish.HardSwish(), test_softmax.Softmax()):
        t = Tensor("x", x.shape, "float32")
        graph = replace(graph_of(op, [t], [replace(t, name="y")]), name="curve")
        [[[want]]] = [harness.numpy_reference(graph, [[x]])]
        [[[got]]] = harness.host_c([graph], [[[x]]])
        assert np.isfinite(got).all()
        assert np.allclose(got, want, rtol=1e-6, atol=1e-30)


def test_pad_writes_the_bits_of_a_float():
    t = Tensor("x", (1, 2), "float32")
    for value, want in ((-1.5, -1.5), (-0.0, 0.0), (-np.inf, np.finfo(np.float32).min)):
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
