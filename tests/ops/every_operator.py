"""Random cases of every operator, from the operators' own tests: in int8, the same in int16 and in float32."""

from __future__ import annotations

from dataclasses import replace

import harness
import numpy as np
import test_add
import test_arg_max
import test_average_pool2d
import test_concatenation
import test_conv2d
import test_conv2d_borders
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
import test_pack
import test_pad
import test_prelu
import test_quantize
import test_reductions
import test_relu
import test_reshape
import test_resize_bilinear
import test_resize_nearest_neighbor
import test_softmax
import test_split
import test_squared_difference
import test_strided_slice
import test_sub
import test_tanh
import test_tile
import test_transpose
import test_transpose_conv
import test_unpack
from harness import act, const, graph_of

from intaglio.graph import Graph, Node, Quant, Tensor, constant, verify
from intaglio.ops.add import Add
from intaglio.ops.arg_max import ArgMax
from intaglio.ops.assign_variable import AssignVariable
from intaglio.ops.batch_norm import BatchNorm
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.dequantize import Dequantize
from intaglio.ops.div import Div
from intaglio.ops.float32 import LARGEST
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.l2_normalization import L2Normalization
from intaglio.ops.leaky_relu import LeakyRelu
from intaglio.ops.logistic import Logistic
from intaglio.ops.maximum import Maximum
from intaglio.ops.mul import Mul
from intaglio.ops.pad import Pad
from intaglio.ops.read_variable import ReadVariable
from intaglio.ops.relu import Relu
from intaglio.ops.reshape import Reshape
from intaglio.ops.softmax import Softmax
from intaglio.ops.split import Split
from intaglio.ops.squared_difference import SquaredDifference
from intaglio.ops.strided_slice import StridedSlice
from intaglio.ops.transpose_conv import TransposeConv

FINER = 256
"""int16 scales are so much finer than those of the 8-bit cases; biases are as much larger."""
_WEIGHTED = (Conv2D, DepthwiseConv2D, FullyConnected, TransposeConv)


def _unary(op):
    return lambda rng: test_curve.unary_case(rng, op)


def _positive(op):
    return lambda rng: test_curve.positive(rng, op)


def _reshape(rng):
    (x,), (y,), _ = test_reshape.reshaped(rng)
    return graph_of(Reshape(y.shape), [x], [y])


def _dequantize(rng):
    return graph_of(Dequantize(), [act(rng, "x", (1, 300))], [act(rng, "y", (1, 300), "float32")])


def _batch_norm(rng):
    """In floats alone: quantization folds it away."""
    c = int(rng.integers(1, 9))
    x, y = (Tensor(name, (1, 3, 4, c), "float32") for name in "xy")
    parts = [const(name, rng.uniform(0.5, 2, c).astype(np.float32)) for name in ("gamma", "beta", "mean", "variance")]
    return graph_of(BatchNorm(1e-3), [x, *parts], [y])


def _state(rng):
    """The sum of this input and the last one."""
    x = act(rng, "x", (1, int(rng.integers(1, 9))))
    start = rng.integers(-128, 128, x.shape).astype(np.int8)
    state = Tensor("state:past", x.shape, "int8", x.quant, start, state=True)
    past, y = replace(x, name="past"), act(rng, "y", x.shape, scale=2 * x.scale)
    nodes = (
        Node("read", ReadVariable(), (state.name,), ("past",)),
        Node("add", Add(), ("x", "past"), ("y",)),
        Node("assign", AssignVariable(), ("x", state.name), ()),
    )
    tensors = {t.name: t for t in (x, state, past, y)}
    return verify(Graph("case", nodes, tensors, ("x",), ("y",)), "float")


CASES = {
    "abs": _unary(test_curve.Abs()),
    "add": test_add.case,
    "average_pool2d": lambda rng: test_average_pool2d.pool_case(rng, test_average_pool2d.AveragePool2D),
    "concatenation": test_concatenation.case,
    "conv2d": test_conv2d.case,
    "depth_to_space": test_depth_to_space.case,
    "depthwise_conv2d": test_depthwise_conv2d.case,
    "elu": _unary(test_curve.Elu()),
    "elu_alpha": _unary(test_curve.Elu(0.3)),
    "fully_connected": test_fully_connected.case,
    "gelu": lambda rng: test_curve.unary_case(rng, test_curve.Gelu(bool(rng.random() < 0.5))),
    "hard_sigmoid": _unary(test_curve.HardSigmoid()),
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
    "neg": _unary(test_curve.Neg()),
    "pack": lambda rng: test_pack.case(rng, ("int8",)),
    "pad": test_pad.case,
    "prelu": test_prelu.case,
    "reduce_max": lambda rng: test_reductions.case(rng, test_reductions.ReduceMax),
    "reduce_min": lambda rng: test_reductions.case(rng, test_reductions.ReduceMin),
    "reduce_sum": lambda rng: test_reductions.case(rng, test_reductions.ReduceSum),
    "relu": lambda rng: test_curve.unary_case(rng, Relu("relu")),
    "relu6": test_relu.relu6,
    "relu_n1_to_1": _unary(Relu("relu_n1_to_1")),
    "reshape": _reshape,
    "resize_bilinear": test_resize_bilinear.case,
    "resize_nearest_neighbor": test_resize_nearest_neighbor.case,
    "silu": _unary(test_curve.Silu()),
    "softmax": lambda rng: test_softmax.case_of(rng, int(rng.integers(1, 40))),
    "space_to_depth": lambda rng: test_depth_to_space.case(rng, test_depth_to_space.SpaceToDepth),
    "split": test_split.case,
    "square": _unary(test_curve.Square()),
    "squared_difference": test_squared_difference.case,
    "strided_slice": test_strided_slice.case,
    "sub": test_sub.case,
    "tanh": test_tanh.case,
    "tile": lambda rng: test_tile.along_any(rng, ("int8",)),
    "transpose": lambda rng: test_transpose.case_of(rng, (1, 5), ["int8"]),
    "transpose_conv": test_transpose_conv.case,
    "unpack": lambda rng: test_unpack.case(rng, ("int8",)),
}
"""What there is in int8 and in float32 alike."""
INT8 = {
    **CASES,
    "arg_max": test_arg_max.case,
    "conv2d_borders": test_conv2d_borders.case,
    "dequantize": _dequantize,
    "exp": _unary(test_curve.Exp()),
    "log": _positive(test_curve.Log()),
    "quantize": test_quantize.from_float,
    "read_variable": _state,
    "rsqrt": test_curve.rsqrt_case,
    "sqrt": _positive(test_curve.Sqrt()),
}
INT16 = (
    "add", "average_pool2d", "concatenation", "conv2d", "depthwise_conv2d", "fully_connected", "leaky_relu",
    "max_pool2d", "maximum", "mean", "minimum", "mul", "pack", "pad", "relu", "reshape", "resize_nearest_neighbor",
    "split", "strided_slice", "sub", "tile", "transpose", "transpose_conv", "unpack",
)  # fmt: skip
"""Of `CASES`; the curves' scales are fixed (test_int16.py)."""
FLOAT32 = {
    "batch_norm": _batch_norm,
    "div": lambda rng: test_mul.binary_case(rng, Div(), lambda a, b: a.scale / b.scale),
    "exp": INT8["exp"],
    "log": INT8["log"],
    "rsqrt": INT8["rsqrt"],
    "sqrt": INT8["sqrt"],
}
"""Beside `CASES`; `in_floats` makes floats of them."""


def in_floats(graph):
    """The same graph on the real numbers that its integers stand for."""
    tensors = {}
    for name, t in graph.tensors.items():
        if t.data is None:
            tensors[name] = Tensor(name, t.shape, "float32")
            continue
        along = [-1 if d == (t.quant.axis if t.quant else None) else 1 for d in range(len(t.shape))]
        scale = np.array(t.quant.scale).reshape(along) if t.quant and len(t.quant.scale) > 1 else (
            t.quant.scale[0] if t.quant else 0.01 if t.dtype != "float32" else 1.0)  # fmt: skip
        zero = t.quant.zero_point[0] if t.quant else 0
        tensors[name] = constant(name, (scale * (t.data.astype(float) - zero)).astype(np.float32))
    # Integers take -inf for their lowest; no float kernel does.
    nodes = [replace(n, op=replace(n.op, value=min(max(n.op.value, -LARGEST), LARGEST)))
             if isinstance(n.op, Pad) else n for n in graph.nodes]  # fmt: skip
    return verify(replace(graph, tensors=tensors, nodes=tuple(nodes)), "float")


def widened(graph, rng):
    """A case of int8 with int16 activations and an int64 bias: the same numbers, 256 times finer."""
    node = graph.nodes[0]
    weights, bias = (node.inputs[1:2], node.inputs[2:]) if isinstance(node.op, _WEIGHTED) else ((), ())
    tensors = {}
    for name, t in graph.tensors.items():
        if name in weights or (t.dtype != "int8" and name not in bias):
            tensors[name] = t
            continue
        scale = tuple(float(np.float32(s / FINER)) for s in t.quant.scale)
        quant = Quant(scale, (0,) * len(scale), t.quant.axis)
        if name in bias:
            finer = t.data.astype(np.int64) * FINER + rng.integers(0, FINER, t.shape)
            tensors[name] = constant(name, finer, quant)
        elif t.is_const:
            tensors[name] = constant(name, rng.integers(-32768, 32768, t.shape).astype(np.int16), quant)
        else:
            tensors[name] = replace(t, dtype="int16", quant=quant)
    return replace(graph, tensors=tensors)


def cases(each=1, seed=3):
    """(operator, dtype, graph): `each` random cases of every operator in every dtype that it has."""
    for number, (name, make) in enumerate({**INT8, **FLOAT32}.items()):
        for i in range(each):
            rng = np.random.default_rng([seed, number, i])
            graph = replace(make(rng), name=f"{name}_{i}")
            if name in INT8:
                yield name, "int8", graph
            if name in INT16:
                yield name, "int16", widened(graph, rng)
            if name in CASES or name in FLOAT32:
                yield name, "float32", in_floats(graph)


def feeds(graph, rng, random=2):
    """harness.inputs_for, within the domain of roots and logarithms, and of what float32 holds of exponentials."""
    rows = harness.inputs_for(graph, rng, random)
    if graph.tensors[graph.inputs[0]].dtype != "float32":
        return rows
    if graph.nodes[0].op.name in ("sqrt", "log", "rsqrt"):
        return [[np.abs(x) + np.float32(1e-3) for x in row] for row in rows]
    return [[np.clip(x, -60, 60) for x in row] for row in rows] if graph.nodes[0].op.name == "exp" else rows


# ---- more dimensions than runtimes have -------------------------------------------------------------------------


def _shape(rng, low=5, high=7, sizes=(1, 2, 3)):
    return tuple(int(d) for d in rng.choice(sizes, int(rng.integers(low, high))))


def _one(op, x, like=None):
    shape, dtype = op.infer([x], [])[0]
    return graph_of(op, [x], [replace(x if like is None else like, name="y", shape=shape, dtype=dtype)])


def _slice(rng):
    shape = _shape(rng, sizes=(2, 3, 4))
    begin = tuple(int(rng.integers(0, n)) for n in shape)
    size = tuple(int(rng.integers(1, n - b + 1)) for b, n in zip(begin, shape, strict=True))
    shrink = tuple(d for d, n in enumerate(size) if n == 1 and rng.random() < 0.3)[:2]
    return _one(StridedSlice(begin, size, (1,) * len(shape), shrink), act(rng, "x", shape))


def _pad(rng):
    shape = _shape(rng)
    return _one(Pad(tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (len(shape), 2)))), act(rng, "x", shape))


def _joined(rng):
    shape = _shape(rng)
    axis = int(rng.integers(len(shape)))
    x = act(rng, "a", shape)
    y = replace(x, name="b", shape=(*shape[:axis], 2, *shape[axis + 1 :]))
    op = Concatenation(axis)
    return graph_of(op, [x, y], [replace(x, name="y", shape=op.infer([x, y], [])[0][0])])


def _parts(rng):
    shape = _shape(rng, sizes=(2, 3))
    axis = int(rng.integers(len(shape)))
    x = act(rng, "x", shape)
    op = Split(axis, (1, shape[axis] - 1))
    return graph_of(op, [x], [replace(x, name=f"y{k}", shape=s) for k, (s, _) in enumerate(op.infer([x], []))])


def _two(op):
    def make(rng):
        shape = _shape(rng)
        other = shape[3:] if rng.random() < 0.5 else (1, *shape[1:-1], 1)
        a, b = act(rng, "a", shape), act(rng, "b", other)
        alike = op.name in ("maximum", "minimum")
        b = replace(b, quant=a.quant) if alike else b
        out = replace(a, name="y", shape=op.infer([a, b], [])[0][0])
        return graph_of(op, [a, b], [out if alike else act(rng, "y", out.shape, scale=0.3)])

    return make


def _rows(op, quant):
    return lambda rng: _one(op, act(rng, "x", _shape(rng), scale=0.05), Tensor("y", (), "int8", quant))


def _tile(rng):
    shape = _shape(rng)
    return test_tile.tiled(rng, shape, (1, 2, int(rng.integers(2, 130)), 1, 3, 1, 1)[: len(shape)])


DEEP = {
    "tile": _tile,
    "transpose": lambda rng: test_transpose.case_of(rng, [6], ["int8"]),
    "strided_slice": _slice,
    "pad": _pad,
    "concatenation": _joined,
    "split": _parts,
    "add": _two(Add()),
    "mul": _two(Mul()),
    "maximum": _two(Maximum()),
    "squared_difference": _two(SquaredDifference()),
    "softmax": _rows(Softmax(), Quant((1 / 256,), (-128,))),
    "l2_normalization": _rows(L2Normalization(), Quant((1 / 128,), (0,))),
    "mean": lambda rng: test_mean.case_of(rng, [3, 4, 5, 6], 6),
    "reduce_max": lambda rng: test_reductions.case(rng, test_reductions.ReduceMax, (3, 4, 5, 6), 6),
    "reduce_min": lambda rng: test_reductions.case(rng, test_reductions.ReduceMin, (3, 4, 5, 6), 6),
    "reduce_sum": lambda rng: test_reductions.case(rng, test_reductions.ReduceSum, (3, 4, 5, 6), 6),
    "arg_max": lambda rng: _one(ArgMax(int(rng.integers(5))), act(rng, "x", _shape(rng))),
    "relu": lambda rng: _one(Relu("relu"), act(rng, "x", _shape(rng))),
    "logistic": _rows(Logistic(), Quant((1 / 256,), (-128,))),
    "leaky_relu": lambda rng: _one(LeakyRelu(0.1), act(rng, "x", _shape(rng))),
}
"""Operators on five and six dimensions, or along more axes than a runtime has room for."""


def deep_cases(each=1, seed=4):
    """(operator, dtype, graph) like `cases`."""
    for number, (name, make) in enumerate(DEEP.items()):
        for i in range(each):
            rng = np.random.default_rng([seed, number, i])
            graph = replace(make(rng), name=f"{name}_deep_{i}")
            yield name, "int8", graph
            if name != "arg_max":
                yield name, "float32", in_floats(graph)
