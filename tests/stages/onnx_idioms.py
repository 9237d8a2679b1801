"""What exporters write for one layer, and how the result is compared with onnxruntime."""

import re

import numpy as np
import onnx
import onnx.version_converter
import onnx_models
from onnx import TensorProto, helper, numpy_helper
from onnx_models import build, node, rng_array

from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import onnx as frontend


def nhwc(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x


def in_memory_order(graph, values):
    """A model's outputs, in the order that the graph's notes state."""
    ordered = []
    for name, value in zip(graph.outputs, values, strict=True):
        note = next(n for n in graph.notes if n.startswith(f"output {name}:"))
        order = re.search(r"order \(([^)]*)\)", note)[1]
        ordered.append(value.transpose([int(d) for d in order.split(",") if d.strip()]))
    return ordered


def check_float(data, *xs):
    """The same numbers as onnxruntime's, before and after the float passes; returns the simplified graph."""
    graph = frontend.parse(data, "model.onnx", "case")
    want = in_memory_order(graph, onnx_models.run(data, *xs))
    for g in (graph, simplify(graph)):
        for got, expected in zip(run_float(g, [nhwc(x) for x in xs]), want, strict=True):
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    return simplify(graph)


def shape_chain(opset):
    """view(x.size(0), c // 2, -1) as older exporters write it, with Cast, Slice, Mul, Div, Squeeze, Equal and Where."""
    axes = {"axes": [0]} if opset < 13 else {}
    extra = "" if opset < 13 else " axis0"
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s i0 i1", "n"),
        node("Slice", "s i1 i2", "c"),
        node("Squeeze", "c" + extra, "c_scalar", **axes),
        node("Div", "c_scalar two", "half"),
        node("Unsqueeze", "half" + extra, "half1", **axes),
        node("Cast", "half1", "half2", to=TensorProto.FLOAT),
        node("Floor", "half2", "half3"),
        node("Cast", "half3", "half4", to=TensorProto.INT64),
        node("Concat", "n half4 rest", "shape", axis=0),
        node("ConstantOfShape", "three", "ones", value=numpy_helper.from_array(np.array([1], np.int64))),
        node("Mul", "ones shape", "shape1"),
        node("Equal", "shape1 rest", "is_rest"),
        node("Where", "is_rest rest shape1", "shape2"),
        node("Reshape", "x shape2", "y"),
    ]
    constants = {"i0": np.array([0]), "i1": np.array([1]), "i2": np.array([2]), "two": np.array(2),
                 "rest": np.array([-1]), "axis0": np.array([0]), "three": np.array([3])}  # fmt: skip
    if opset < 13:
        del constants["axis0"]
    return build(nodes, {"x": [None, 4, 3, 2]}, {"y": [None, 2, 12]}, constants, opset)


def one(op, *args, shape=(1, 4, 6, 5), opset=13, outputs="y", constants=(), **attrs):
    """One node on x and the constants `args`."""
    outs = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs.split()]
    made = [node(op, " ".join(("x", *args)), outputs, **attrs)]
    tensors = dict(zip(args, constants, strict=True))
    data = onnx.load_model_from_string(build(made, {"x": list(shape)}, {}, tensors, opset))
    data.graph.output.extend(outs)
    return data.SerializeToString()


W = rng_array(1, 6, 4, 3, 3)
IDIOMS = {
    "shape_chain_11": shape_chain(11),
    "shape_chain_17": shape_chain(17),
    "cnn": onnx_models.cnn(),
    "cnn_11": onnx_models.cnn(11),
    "cnn_22": onnx_models.cnn(22),
    "conv_asymmetric_pads": one("Conv", "w", constants=[W], pads=[0, 1, 2, 0], strides=[2, 1]),
    "conv_same_lower": one("Conv", "w", constants=[W], auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv_1d": one("Conv", "w", shape=(1, 4, 9), constants=[rng_array(1, 4, 1, 3)], group=4, pads=[2, 1]),
    "conv_transpose": one("ConvTranspose", "w", constants=[rng_array(2, 4, 3, 3, 3)], strides=[2, 2],
                          pads=[1, 0, 0, 1], output_padding=[1, 0]),
    "conv_transpose_1d": one("ConvTranspose", "w", shape=(1, 4, 7), constants=[rng_array(2, 4, 3, 3)], strides=[2]),
    "average_pool_same": one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    "average_pool_counts": one("AveragePool", kernel_shape=[3, 2], pads=[1, 0, 1, 1], count_include_pad=1),
    "average_pool_1d": one("AveragePool", shape=(1, 4, 9), kernel_shape=[3], pads=[1, 0]),
    "max_pool_ceil_equal": one("MaxPool", kernel_shape=[2, 1], strides=[2, 2], ceil_mode=1),
    "global_max_pool": one("GlobalMaxPool"),
    "global_average_pool_1d": one("GlobalAveragePool", shape=(1, 4, 9)),
    "resize_sizes": build(
        [helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode="nearest")],
        {"x": [1, 4, 6, 5]}, {"y": [1, 4, 12, 15]}, {"size": np.array([1, 4, 12, 15])}),
    "resize_asymmetric": build(
        [helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest", nearest_mode="floor",
                          coordinate_transformation_mode="asymmetric")],
        {"x": [1, 4, 6, 5]}, {"y": [1, 4, 18, 10]}, {"scales": np.array([1, 1, 3, 2], np.float32)}),
    "gemm_scaled": one("Gemm", "w", "c", shape=(1, 5), constants=[rng_array(3, 5, 3), rng_array(4, 1, 3)], alpha=0.5,
                       beta=-2.0),
    "gemm_scalar_bias": one("Gemm", "w", "c", shape=(1, 5), constants=[rng_array(3, 3, 5), np.float32(2)], transB=1),
    "matmul_add": build([node("MatMul", "x w", "m"), node("Add", "b m", "y")], {"x": [1, 7, 5]}, {"y": [1, 7, 3]},
                        {"w": rng_array(3, 5, 3), "b": rng_array(4, 3)}),
    "softmax_11": one("Softmax", shape=(1, 9), opset=11),
    "softmax_11_together": one("Softmax", opset=11, axis=1),
    "softmax_channels": one("Softmax", axis=1),
    "reduce_mean_axes_input": one("ReduceMean", "a", constants=[np.array([-1, 2])], opset=18, keepdims=0),
    "reduce_max": one("ReduceMax", axes=[2, 3], keepdims=0),
    "split_attribute": one("Split", opset=11, outputs="y z", axis=1, split=[1, 3]),
    "split_uneven": one("Split", opset=18, outputs="y z", axis=2, num_outputs=2),
    "slice_negative": one("Slice", "s", "e", "a", "t", constants=[np.array([-1, 1]), np.array([-9999, 4]),
                          np.array([3, -2]), np.array([-2, 1])]),
    "gather_one": one("Gather", "i", constants=[np.array(-2)], axis=2),
    "gather_steps": one("Gather", "i", constants=[np.array([4, 2, 0])], axis=3),
    "pad_axes": one("Pad", "p", "v", "a", opset=18, constants=[np.array([1, 2]), np.float32(0.5), np.array([-1])]),
    "flatten_2": one("Flatten", axis=2),
    "squeeze_11": one("Squeeze", shape=(1, 4, 1, 1), opset=11, axes=[2, 3]),
    "unsqueeze_then": build([node("Unsqueeze", "x a", "u"), node("Conv", "u w", "y")], {"x": [1, 4, 9]},
                            {"y": [1, 3, 1, 9]}, {"a": np.array([2]), "w": rng_array(1, 3, 4, 1, 1)}),
    "transpose": one("Transpose", perm=[0, 2, 3, 1]),
    "expand_same": one("Expand", "s", shape=(1, 4), constants=[np.array([1, 1, 4])]),
    "sum_max_min": build([node("Sum", "x a x", "s"), node("Max", "s x b", "m"), node("Min", "m b", "y")],
                         {"x": [1, 4, 3, 2]}, {"y": [1, 4, 3, 2]}, {"a": rng_array(1, 4, 1, 1), "b": np.float32(0.4)}),
    "curves": build([node("HardSigmoid", "x", "h"), node("HardSwish", "x", "s"), node("LeakyRelu", "x", "l", alpha=0.2),
                     node("PRelu", "x p", "r"), node("Concat", "h s l r", "y", axis=1)],
                    {"x": [1, 4, 3, 2]}, {"y": [1, 16, 3, 2]}, {"p": np.full((1, 1, 1), 0.3, np.float32)}, 14),
    "clip_ends": build([node("Clip", "x low high", "y")], {"x": [1, 4]}, {"y": [1, 4]},
                       {"low": np.float32(-3.4028235e38), "high": np.float32(0.2)}),
    "arithmetic": build([node("Neg", "x", "n"), node("Div", "n d", "q"), node("Pow", "q two", "p"),
                         node("Sub", "c p", "s"),
                         node("Dropout", "s", "o"), node("Identity", "o", "i"), node("Cast", "i", "y", to=1)],
                        {"x": [1, 4]}, {"y": [1, 4]},
                        {"d": np.float32(0.3), "two": np.float32(2), "c": rng_array(3, 4)}),
    "folded_weights": build([node("Constant", "", "w", value=numpy_helper.from_array(rng_array(4, 5, 3))),
                             node("Shape", "w", "sw"), node("Reshape", "w sw", "w1"), node("Reciprocal", "two", "k"),
                             node("Transpose", "w1", "wt", perm=[1, 0]), node("Mul", "wt k", "wk"),
                             node("Gemm", "x wk", "y", transB=1)],
                            {"x": [None, 5]}, {"y": [None, 3]}, {"two": np.float32(2)}),
    "weights_are_integers": build([node("DequantizeLinear", "w s z", "wf", axis=0),
                                   node("Gemm", "x wf", "y", transB=1)],
                                  {"x": [1, 5]}, {"y": [1, 3]},
                                  {"w": np.arange(-7, 8).reshape(3, 5).astype(np.int8),
                                   "z": np.array([0, 3, -5], np.int8), "s": np.array([0.1, 0.2, 0.3], np.float32)}),
}  # fmt: skip


def input_shape(data):
    """Of the only input, with a batch of 1."""
    return [d.dim_value or 1 for d in onnx.load_model_from_string(data).graph.input[0].type.tensor_type.shape.dim]


def int8_rows(graph, x):
    """Samples as the model's front end rounds them: half to even, divided in float32."""
    t = graph.tensors[graph.inputs[0]]
    q = np.rint(nhwc(x) / np.float32(t.scale)) + t.zero_point
    return [[one[None]] for one in np.clip(q, -128, 127).astype(np.int8)]
