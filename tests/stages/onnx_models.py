"""ONNX models built by hand, and what onnxruntime says that they compute."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def rng_array(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def build(nodes, inputs, outputs, constants=None, opset=13, domains=()):
    """The bytes of a model. `inputs` and `outputs`: name -> shape, or (shape, element type); None is a dynamic size."""

    def info(name, spec):
        shape, kind = spec if isinstance(spec, tuple) and isinstance(spec[0], list) else (list(spec), FLOAT)
        dims = ["n" if d is None else d for d in shape]
        return helper.make_tensor_value_info(name, kind, dims)

    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(
        list(nodes), "g", [info(*i) for i in inputs.items()], [info(*o) for o in outputs.items()], tensors
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()


def node(op, inputs, outputs, **attrs):
    return helper.make_node(op, inputs.split(), outputs.split(), **attrs)


def run(data, *xs, exact=False):
    """onnxruntime's outputs; `exact` leaves QDQ models as they are written: float operators on rounded values."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), xs, strict=True)})


def cnn(opset=13):
    """conv, batch norm, relu6 as Clip, depthwise, pooling, a reshape worked out from Shape, Gemm, Softmax."""
    nodes = [
        node("Conv", "x w0", "c0", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", "c0 gamma beta mean var", "b0"),
        node("Clip", "b0 zero six", "r0"),
        node("Conv", "r0 w1 bias1", "c1", group=4, auto_pad="SAME_UPPER"),
        node("Relu", "c1", "r1"),
        node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", "p1", "s"),
        node("Constant", "", "zero_index", value=numpy_helper.from_array(np.array(0, np.int64))),
        node("Gather", "s zero_index", "batch"),
        node("Unsqueeze", "batch axis0", "batch1") if opset >= 13 else node("Unsqueeze", "batch", "batch1", axes=[0]),
        node("Concat", "batch1 rest", "shape", axis=0),
        node("Reshape", "p1 shape", "f"),
        node("Gemm", "f w2 bias2", "g", transB=1),
        node("Softmax", "g", "y", axis=-1),
    ]
    constants = {
        "w0": rng_array(0, 4, 2, 3, 3) * 0.5, "gamma": rng_array(1, 4) + 1, "beta": rng_array(2, 4),
        "mean": rng_array(3, 4), "var": np.abs(rng_array(4, 4)) + 0.5, "zero": np.float32(0), "six": np.float32(6),
        "w1": rng_array(5, 4, 1, 3, 3) * 0.5, "bias1": rng_array(6, 4), "axis0": np.array([0], np.int64),
        "rest": np.array([-1], np.int64), "w2": rng_array(7, 3, 16) * 0.3, "bias2": rng_array(8, 3),
    }  # fmt: skip
    if opset < 13:
        del constants["axis0"]
    return build(nodes, {"x": [None, 2, 8, 8]}, {"y": [None, 3]}, constants, opset)


def qdq(activation=np.int8, opset=13, decimal=False):
    """A convolution per channel, a residual ADD, MEAN and Gemm, all between QuantizeLinear and DequantizeLinear.

    With `decimal` scales like 0.07, which put results half way between two integers."""
    zero = 128 if activation is np.uint8 else 0
    scales = {"x": 0.07, "c": 0.14, "a": 0.21, "m": 0.07, "y": 1.05} if decimal else {
        "x": 0.031, "c": 0.054, "a": 0.083, "m": 0.029, "y": 0.43}  # fmt: skip
    zeros = {"x": zero, "c": zero - 100, "a": zero - 12, "m": zero - 9, "y": zero + 3}
    constants = {f"{k}_s": np.float32(v) for k, v in scales.items()}
    constants |= {f"{k}_z": np.array(v, activation) for k, v in zeros.items()}
    rng = np.random.default_rng(5)
    w_scale = np.array([0.02, 0.01, 0.03, 0.05] if decimal else [0.011, 0.023, 0.0071, 0.019], np.float32)
    v_scale = np.float32(0.03 if decimal else 0.0173)
    constants |= {
        "w_q": rng.integers(-127, 128, (4, 4, 3, 3)).astype(np.int8), "w_s": w_scale, "w_z": np.zeros(4, np.int8),
        "b_q": rng.integers(-900, 900, 4).astype(np.int32), "b_s": (w_scale * np.float32(scales["x"])),
        "b_z": np.zeros(4, np.int32), "v_q": rng.integers(-127, 128, (4, 3)).astype(np.int8), "v_s": v_scale,
        "v_z": np.array(0, np.int8), "u": rng.normal(size=3).astype(np.float32),
    }  # fmt: skip

    def between(name, after):
        return [node("QuantizeLinear", f"{name} {after}_s {after}_z", f"{name}_q"),
                node("DequantizeLinear", f"{name}_q {after}_s {after}_z", f"{name}_d")]  # fmt: skip

    nodes = [
        *between("x", "x"),
        node("DequantizeLinear", "w_q w_s w_z", "w", axis=0),
        node("DequantizeLinear", "b_q b_s b_z", "b", axis=0),
        node("DequantizeLinear", "v_q v_s v_z", "v"),
        node("Conv", "x_d w b", "c0", pads=[1, 1, 1, 1]),
        node("Relu", "c0", "c"),
        *between("c", "c"),
        node("Add", "x_d c_d", "a"),
        *between("a", "a"),
        node("GlobalAveragePool", "a_d", "m"),
        *between("m", "m"),
        node("Flatten", "m_d", "f"),
        node("MatMul", "f v", "g"),
        node("Add", "g u", "y0"),
        node("QuantizeLinear", "y0 y_s y_z", "y_q"),
        node("DequantizeLinear", "y_q y_s y_z", "y"),
    ]
    return build(nodes, {"x": [1, 4, 6, 5]}, {"y": [1, 3]}, constants, opset)


def checked(data):
    onnx.checker.check_model(onnx.load_model_from_string(data))
    return data
