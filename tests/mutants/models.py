"""Mutants of model files: .tflite, .onnx, .itg and .pt2."""

from __future__ import annotations

import importlib
import io
import json
import struct
import warnings
import zlib
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnx_models
import test_random_graphs
import tflite as tflite_schema
import tiny_models
from ai_edge_litert import schema_py_generated as schema
from edits import STRINGS, another, archive, array, edit, number, pick, raw, times
from flatbuffers.builder import BuilderSizeError
from google.protobuf.message import EncodeError

from intaglio import boards, graph_file, package, pipeline
from intaglio.emit import tflite as writer
from intaglio.errors import UnsupportedError
from intaglio.frontends import onnx as onnx_frontend
from intaglio.frontends import tflite as tflite_frontend
from intaglio.graph import Graph, Node, Preference, Quant, float_model
from intaglio.summary import summarize

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"
OPERATORS = sorted(
    p.stem
    for p in (Path(__file__).resolve().parents[1] / "ops").glob("test_*.py")
    if "\ndef case(rng):" in p.read_text()
)
OPCODES = (
    "Relu", "Shape", "Gather", "Concat", "Reshape", "Conv", "Split", "If", "Expand", "Resize", "QuantizeLinear",
    "Slice", "Squeeze", "Range", "Pad", "Transpose", "ConvTranspose", "QLinearConv", "MatMul", "ConstantOfShape", "Gemm",
    "InstanceNormalization", "LayerNormalization", "ReduceMean", "Clip", "Softmax", "Flatten", "DepthToSpace", "Mul",
    "AveragePool", "GlobalAveragePool", "HardSwish", "PRelu", "Cast", "Where", "Equal", "BatchNormalization", "Pow",
    "DequantizeLinear", "Unsqueeze", "Tile", "LRN", "TopK", "Sub", "Div", "Max", "Min", "ReduceSum", "ArgMax", "Erf",
    "MeanVarianceNormalization", "GroupNormalization", "LSTM", "Gelu", "Sqrt", "Sigmoid", "Tanh",
)  # fmt: skip


WAYS: tuple[tuple[bool, Preference], ...] = (
    *[(False, "dense")] * 5, (True, "dense"), (False, "size"), (True, "balanced"),
)  # fmt: skip
"""With and without removing channels, and how weights are stored."""


# ---- what intaglio does with a model ------------------------------------------------------------------------------


def compiled(graph: Graph) -> tuple[Graph, dict[str, bytes]]:
    """Inspect and compile: the graph, and its files. Raises what either raises."""
    summarize(graph).to_dict()
    graph = pipeline.executable(tflite_frontend.checked(graph, "mutant"))
    board = boards.load("host")
    lossless, weights = WAYS[zlib.crc32(repr([n.op for n in graph.nodes]).encode()) % len(WAYS)]
    return graph, package.emit(graph, board, package.quiet, lossless and not float_model(graph), weights)


def take_tflite(data: bytes) -> tuple[Graph, dict[str, bytes]]:
    return compiled(tflite_frontend.parse(data, "mutant.tflite", "mutant"))


def take_onnx(data: bytes) -> tuple[Graph, dict[str, bytes]]:
    return compiled(onnx_frontend.translated(data, "mutant.onnx", "mutant"))


def take_itg(data: bytes) -> tuple[Graph, dict[str, bytes]]:
    return compiled(graph_file.parse(data, "mutant.itg"))


def take_pt2(data: bytes) -> tuple[Graph, dict[str, bytes]]:
    from intaglio.frontends import torch_pt2

    return compiled(torch_pt2.parse(data, "mutant.pt2", "mutant"))


# ---- graphs to begin with -----------------------------------------------------------------------------------------


def seed_graph(rng: np.random.Generator) -> Graph:
    """A small model: handmade, of one operator as its test makes it, or of random ones."""
    kind = rng.random()
    if kind < 0.4:
        return pick(rng, (*tiny_models.ALL, tiny_models.floats))()
    if kind < 0.85:
        return importlib.import_module(pick(rng, OPERATORS)).case(rng)
    return test_random_graphs.random_graph(rng, states=int(rng.integers(0, 2)))


def changed_graph(rng: np.random.Generator) -> Graph:
    """A small model with attributes, quantization, constants or connections changed, and shapes worked out anew: what
    the front ends take, and later stages have to."""
    graph = seed_graph(rng)
    for _ in range(times(rng) + 1):
        node = pick(rng, graph.nodes)
        kind = rng.random()
        tensors = dict(graph.tensors)
        if kind < 0.45 and fields(node.op):
            name = pick(rng, fields(node.op)).name
            value = {"v": json.loads(json.dumps(getattr(node.op, name)))}
            edit(rng, value)
            graph = with_node(graph, replace(node, op=replace(node.op, **{name: tupled(value["v"])})), node)
        elif kind < 0.8:
            t = tensors[pick(rng, sorted(tensors))]
            if t.data is not None and rng.random() < 0.5:
                data = np.array(t.data)
                data.ravel()[: array(rng, t.data).size] = array(rng, t.data)[: data.size]
                tensors[t.name] = replace(t, data=data)
            elif t.quant is not None:
                quant = {"scale": list(t.quant.scale), "zero_point": list(t.quant.zero_point), "bits": t.quant.bits}
                edit(rng, quant)
                scale = tuple(float(np.float32(v)) for v in quant["scale"])
                changed = Quant(scale, tuple(quant["zero_point"]), t.quant.axis, quant["bits"])
                tensors[t.name] = replace(t, quant=changed)
            graph = replace(graph, tensors=tensors)
        elif kind < 0.9 and node.inputs:
            ins = list(node.inputs)
            ins[int(rng.integers(len(ins)))] = pick(rng, sorted(tensors))
            graph = with_node(graph, replace(node, inputs=tuple(ins)), node)
        else:
            graph = replace(graph, outputs=(*graph.outputs[1:], pick(rng, sorted(tensors))))
    return inferred(graph)


def with_node(graph: Graph, new: Node, old: Node) -> Graph:
    return replace(graph, nodes=tuple(new if n is old else n for n in graph.nodes))


def tupled(value: object) -> object:
    return tuple(map(tupled, value)) if isinstance(value, list) else value


def inferred(graph: Graph) -> Graph:
    """With the shapes that the operators give, as far as they give any."""
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        with suppress(Exception):  # what an operator makes of nonsense is for the front ends to judge
            outs = [tensors[n] for n in node.outputs]
            found = node.op.infer([tensors.get(n) if n else None for n in node.inputs], outs)
            for t, (shape, dtype) in zip(outs, found, strict=True):
                tensors[t.name] = replace(t, shape=tuple(shape), dtype=dtype)
    return replace(graph, tensors=tensors)


def mutant_tflite(rng: np.random.Generator) -> bytes:
    """Fields of the flatbuffer's tables in half of them, bytes and offsets in a quarter, else a changed graph."""
    kind = rng.random()
    while kind < 0.25:
        with suppress(Exception):  # what the writer cannot write
            return writer.write(changed_graph(rng))
    data = seed_tflite(rng)
    if kind < 0.5:
        return raw(data, places(data), rng)
    while True:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        for _ in range(times(rng)):
            _edit_tflite(rng, model)
        try:
            return packed(model)
        except (struct.error, TypeError, ValueError, AttributeError, OverflowError, AssertionError, KeyError,
                BuilderSizeError):  # fmt: skip
            continue  # what does not fit its field cannot be in a file


def seed_tflite(rng: np.random.Generator) -> bytes:
    real = [SHARED / f"{name}_int8.tflite" for name in ("kws", "sww")]
    if rng.random() < 0.02 and all(p.is_file() for p in real):
        return pick(rng, real).read_bytes()
    while True:
        try:
            return writer.write(seed_graph(rng))
        except UnsupportedError:
            continue


def packed(model: schema.ModelT) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _edit_tflite(rng: np.random.Generator, model: schema.ModelT) -> None:
    """An edit of a graph's tensors and operators, rather than of the file's other tables, in most cases."""
    graphs = [g for g in model.subgraphs or () if isinstance(g, schema.SubGraphT)]
    tables = [t for g in graphs for part in (g.tensors, g.operators) if isinstance(part, list) for t in part]
    edit(rng, pick(rng, tables) if tables and rng.random() < 0.75 else model)


def places(data: bytes) -> np.ndarray:
    """Where to edit: anywhere but in long weights, whose damage nobody can tell; of those, the first bytes."""
    free = np.ones(len(data), bool)
    model = tflite_schema.Model.GetRootAs(data, 0)
    for i in range(model.BuffersLength()):
        table = model.Buffers(i)._tab
        field = table.Offset(4)
        if field:
            start, n = table.Vector(field), table.VectorLen(field)
            free[start + 64 : start + n] = False
    return np.flatnonzero(free)


# ---- ONNX ---------------------------------------------------------------------------------------------------------


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


def mutant_onnx(rng: np.random.Generator) -> bytes:
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


# ---- .itg ---------------------------------------------------------------------------------------------------------


def mutant_itg(rng: np.random.Generator) -> bytes:
    """The JSON of the header changed, or the graph in it, with the right checksum; now and then the constants."""
    while rng.random() < 0.5:
        with suppress(Exception):  # what cannot be written
            return graph_file.write(changed_graph(rng))
    graph = seed_graph(rng)
    _, text, constants = graph_file.write(graph).split(b"\n", 2)
    header = json.loads(text)
    for _ in range(times(rng)):
        part = pick(rng, (header, header, {"n": header.get("nodes")}, {"t": header.get("tensors")}))
        edit(rng, part, strange=0.05)
        if rng.random() < 0.1 and header.get("nodes"):
            node = pick(rng, header["nodes"])
            if isinstance(node, dict):
                node["op"] = pick(rng, sorted(graph_file.all_ops()))
    if rng.random() < 0.05:
        constants = raw(constants, np.arange(max(1, len(constants))), rng)
    body = json.dumps(header).encode() + b"\n" + constants
    return graph_file.MAGIC + graph_file.digest(body).encode() + b"\n" + body


# ---- .pt2 ---------------------------------------------------------------------------------------------------------


@cache
def pt2_seeds() -> tuple[bytes, ...]:
    """Two small modules as torch.export.save writes them."""
    import torch
    from torch import nn

    class Cut(nn.Module):
        def forward(self, x):
            y = torch.relu(x[:, 1:3])
            return torch.cat([y, y.mean(1, keepdim=True)], 1).permute(0, 2, 3, 1), y.flatten(1)

    def saved(module, *shape):
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(torch.export.export(module.eval(), (torch.zeros(shape),)), file)
        return file.getvalue()

    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    return saved(nn.Sequential(nn.Linear(4, 3), nn.Hardtanh(0, 6)), 1, 4), saved(conv, 1, 2, 4, 4), saved(Cut(), 1, 4, 3, 3)


def mutant_pt2(rng: np.random.Generator) -> bytes:
    """The JSON of the program or of its weights changed; members renamed, doubled, compressed; or raw bytes."""
    data = pick(rng, pt2_seeds())
    if rng.random() < 0.15:
        return raw(data, np.arange(len(data)), rng)
    member = pick(rng, ("models/model.json", "models/model.json", "weights_config.json"))

    def change(name: str, body: bytes) -> bytes | None:
        if rng.random() < 0.01:
            return None
        if not name.endswith(member):
            return body
        tree = json.loads(body)
        for _ in range(times(rng)):
            _edit_program(rng, tree)
        return json.dumps(tree).encode()

    return archive(data, rng, change, compress=rng.random() < 0.02)


def _edit_program(rng: np.random.Generator, tree: dict) -> None:
    """What the program says, rather than where in the user's source it came from."""
    module = tree.get("graph_module") if isinstance(tree, dict) else None
    parts = [p for p in (module.get("graph"), module.get("signature")) if p] if isinstance(module, dict) else []
    nodes = parts[0].get("nodes") if parts and isinstance(parts[0], dict) else None
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict):
            node["metadata"] = {}
    kind = rng.random()
    if kind < 0.6 and isinstance(nodes, list) and nodes:
        edit(rng, {"node": pick(rng, nodes)}, strange=0.1)
    elif parts and kind < 0.95:
        edit(rng, pick(rng, parts), strange=0.1)
    else:
        edit(rng, tree, strange=0.1)
