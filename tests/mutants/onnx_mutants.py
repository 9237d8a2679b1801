"""Mutants of .onnx files."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_models
from edits import STRINGS, another, number, pick, raw, times
from google.protobuf.message import EncodeError
from model_mutants import Compiled, compiled

from intaglio.frontends import onnx as frontend

OPCODES = (
    "Relu", "Shape", "Gather", "Concat", "Reshape", "Conv", "Split", "If", "Expand", "Resize", "QuantizeLinear",
    "Slice", "Squeeze", "Range", "Pad", "Transpose", "ConvTranspose", "QLinearConv", "MatMul", "ConstantOfShape",
    "Gemm", "InstanceNormalization", "LayerNormalization", "ReduceMean", "Clip", "Softmax", "Flatten", "DepthToSpace",
    "Mul", "AveragePool", "GlobalAveragePool", "HardSwish", "PRelu", "Cast", "Where", "Equal", "BatchNormalization",
    "Pow", "DequantizeLinear", "Unsqueeze", "Tile", "LRN", "TopK", "Sub", "Div", "Max", "Min", "ReduceSum", "ArgMax",
    "Erf", "MeanVarianceNormalization", "GroupNormalization", "LSTM", "Gelu", "Sqrt", "Sigmoid", "Tanh",
)  # fmt: skip


def take(data: bytes) -> Compiled:
    return compiled(frontend.translated(data, "mutant.onnx", "mutant"))


def onnx_seed(rng: np.random.Generator) -> bytes:
    made = (
        lambda: onnx_models.cnn(int(rng.integers(11, 18))), lambda: onnx_models.qdq(np.uint8),
        lambda: onnx_models.qdq(np.int8), lambda: idioms(rng), lambda: shapes(rng),
    )  # fmt: skip
    return pick(rng, made)()


def idioms(rng: np.random.Generator) -> bytes:
    """Group and layer normalization, GELU and SiLU as exporters spell them out, and a mean over axes."""
    node, array = onnx_models.node, onnx_models.rng_array
    nodes = [
        node("Reshape", "x to_groups", "g0"),
        node("InstanceNormalization", "g0 ones zeros", "g1"),
        node("Reshape", "g1 back", "g2"),
        node("Mul", "g2 scale", "g3"),
        node("Add", "g3 offset", "g4"),
        node("Sigmoid", "g4", "s0"),
        node("Mul", "g4 s0", "s1"),
        node("MeanVarianceNormalization", "s1", "mv"),
        node("ReduceMean", "mv", "m0", axes=[-1], keepdims=1),
        node("Sub", "mv m0", "d"),
        node("Pow", "d two", "p"),
        node("ReduceMean", "p", "m1", axes=[-1], keepdims=1),
        node("Add", "m1 eps", "v"),
        node("Sqrt", "v", "r"),
        node("Div", "d r", "l"),
        node("Div", "l root2", "e0"),
        node("Erf", "e0", "e1"),
        node("Add", "e1 one", "e2"),
        node("Mul", "l e2", "e3"),
        node("Mul", "e3 half", "y"),
    ]
    constants = {
        "to_groups": np.array([0, 2, -1]), "back": np.array([1, 4, 3, 3]), "ones": np.ones(2, np.float32),
        "zeros": np.zeros(2, np.float32), "scale": array(1, 4, 1, 1), "offset": array(2, 4, 1, 1),
        "two": np.float32(2), "eps": np.float32(1e-5), "root2": np.float32(2**0.5), "one": np.float32(1),
        "half": np.float32(0.5),
    }  # fmt: skip
    return onnx_models.build(nodes, {"x": [1, 4, 3, 3]}, {"y": [1, 4, 3, 3]}, constants)


def shapes(rng: np.random.Generator) -> bytes:
    """What moves and picks elements, by attributes and by constants."""
    node = onnx_models.node
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("Slice", "t starts ends axes steps", "s"),
        node("Pad", "s pads fill", "p"),
        node("Split", "p sizes", "a b", axis=3),
        node("Concat", "b a", "c", axis=-1),
        node("Unsqueeze", "c axes0", "u"),
        node("Squeeze", "u axes0", "q"),
        node("Resize", "q roi scales", "r", mode="nearest", coordinate_transformation_mode="asymmetric",
             nearest_mode="floor"),
        node("ReduceMax", "r", "m", axes=[1], keepdims=1),
        node("Clip", "m low", "k"),
        node("PRelu", "k slope", "o"),
        node("Flatten", "o", "f"),
        node("Softmax", "f", "y"),
    ]  # fmt: skip
    constants = {
        "starts": np.array([0, 1]), "ends": np.array([3, 2**62]), "axes": np.array([1, 2]), "steps": np.array([1, 1]),
        "pads": np.array([0, 0, 1, 0, 0, 0, 0, 0]), "fill": np.float32(0), "sizes": np.array([1, 2]),
        "axes0": np.array([1]), "roi": np.zeros(0, np.float32), "scales": np.array([1, 2, 2, 1], np.float32),
        "low": np.float32(-1), "slope": np.full(3, 0.1, np.float32),
    }  # fmt: skip
    return onnx_models.build(nodes, {"x": [1, 3, 4, 4]}, {"y": [1, 24]}, constants)


def mutant(rng: np.random.Generator) -> bytes:
    """Fields of the protobuf's messages in three of four, bytes in the others."""
    data = onnx_seed(rng)
    if rng.random() < 0.2:
        return raw(data, np.arange(len(data)), rng)
    while True:
        model = onnx.load_model_from_string(data)
        try:
            for _ in range(times(rng)):
                _edit_onnx(rng, model)
            return model.SerializeToString()
        except (ValueError, TypeError, EncodeError, OverflowError):
            continue


def _edit_onnx(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    graph = model.graph
    kind = rng.random()
    names = [o for n in graph.node for o in n.output] + [t.name for t in graph.initializer] + ["x", "", "nothing"]
    n = pick(rng, graph.node) if graph.node else None
    if kind < 0.1 and n is not None:
        n.op_type = pick(rng, OPCODES)
    elif kind < 0.25 and n is not None and n.input:
        n.input[int(rng.integers(len(n.input)))] = pick(rng, names)
    elif kind < 0.3 and n is not None:
        n.input.append(pick(rng, names))
    elif kind < 0.35 and n is not None:
        key = pick(rng, ("axis", "group", "to", "axes", "epsilon", "perm", "pads", "keepdims", "num_groups"))
        value = pick(rng, (number(rng, 0), [number(rng, 0), 1], 0.5, "x"))
        n.attribute.append(onnx.helper.make_attribute(key, value if not isinstance(value, int) else clipped(value)))
    elif kind < 0.45 and graph.initializer:
        t = pick(rng, graph.initializer)
        if t.raw_data:
            values = np.frombuffer(t.raw_data, np.int64 if len(t.raw_data) % 8 == 0 else np.uint8)
            t.raw_data = another(rng, np.array(values)).tobytes()
    else:
        _edit_message(rng, n if n is not None and rng.random() < 0.5 else model)


def clipped(value: int) -> int:
    return max(-(2**63), min(value, 2**63 - 1))


def _edit_message(rng: np.random.Generator, message: object) -> None:
    """A field somewhere below a protobuf message: changed, removed, doubled or set."""
    while True:
        set_fields = [f for f, _ in message.ListFields()]
        field = pick(rng, set_fields) if set_fields and rng.random() < 0.9 else pick(rng, message.DESCRIPTOR.fields)
        value = getattr(message, field.name)
        repeated = hasattr(value, "extend")
        if repeated and rng.random() < 0.25:
            kind = int(rng.integers(3))
            if len(value) == 0 and not field.message_type:
                value.append(_scalar(rng, field, 0))
            elif kind == 0 and len(value):
                del value[int(rng.integers(len(value)))]
            elif kind == 1 and len(value):
                value.extend([value[int(rng.integers(len(value)))]])
            else:
                message.ClearField(field.name)
            return
        if field.message_type:
            if repeated:
                if not len(value):
                    value.add()
                    return
                message = pick(rng, value)
                continue
            if rng.random() < 0.1:
                message.ClearField(field.name)
                return
            message = value
            continue
        if repeated:
            if len(value):
                at = int(rng.integers(len(value)))
                value[at] = _scalar(rng, field, value[at])
        elif rng.random() < 0.1:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _scalar(rng, field, value))
        return


def _scalar(rng: np.random.Generator, field: object, old: object) -> object:
    if field.enum_type is not None:
        return int(rng.integers(0, 24))
    if field.cpp_type in (1, 2, 3, 4):  # int32, int64, uint32, uint64
        return number(rng, int(old))
    if field.cpp_type in (5, 6):
        return another(rng, float(old))
    if field.cpp_type == 7:
        return not old
    text = pick(rng, STRINGS)
    return text.encode() if field.type == 12 else text
