"""Files of .tflite with sparse constants, as converters write them."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from harness import const

from intaglio.emit import tflite as writer
from intaglio.graph import Graph, Node, Tensor
from intaglio.ops.conv2d import Conv2D

DENSE, SPARSE = 0, 1
SHAPE = (8, 3, 2, 16)
VECTORS = {
    np.dtype(np.int32): (1, schema.Int32VectorT),
    np.dtype(np.uint16): (2, schema.Uint16VectorT),
    np.dtype(np.uint8): (3, schema.Uint8VectorT),
}


def weights(share: float, seed: int = 0) -> np.ndarray:
    """Random float32 weights that float16 holds exactly, of which `share` are not zero."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 200, SHAPE) / 64
    return np.where(rng.random(SHAPE) < share, values, 0).astype(np.float32)


def vector(values, dtype):
    kind, table = VECTORS[np.dtype(dtype)]
    made = table()
    made.values = np.asarray(values, dtype)
    return kind, made


def encode(dense, order, formats, blocks=(), dtype=np.uint16):
    """SparsityParameters and stored values. `blocks`: pairs of a dimension and the size of its blocks."""
    rank, sizes, axes = dense.ndim, dict(blocks), []
    split = []
    for d, n in enumerate(dense.shape):
        axes.append(len(split))
        split += [n // sizes[d], sizes[d]] if d in sizes else [n]
    levels = dense.reshape(split).transpose([*axes, *(axes[d] + 1 for d, _ in blocks)]).transpose(order)
    prefixes, metadata = [()], []
    for level, form in enumerate(formats):
        one = schema.DimensionMetadataT()
        one.format = form
        if form == DENSE:
            one.denseSize = levels.shape[level]
            prefixes = [(*p, i) for p in prefixes for i in range(levels.shape[level])]
        else:
            children = [[i for i in range(levels.shape[level]) if levels[(*p, i)].any()] for p in prefixes]
            one.arraySegmentsType, one.arraySegments = vector(np.cumsum([0, *map(len, children)]), dtype)
            one.arrayIndicesType, one.arrayIndices = vector([i for some in children for i in some], dtype)
            prefixes = [(*p, i) for p, some in zip(prefixes, children, strict=True) for i in some]
        metadata.append(one)
    made = schema.SparsityParametersT()
    made.traversalOrder, made.dimMetadata = list(order), metadata
    made.blockMap = [d for d, _ in blocks] or None
    assert len(order) == len(formats) == rank + len(blocks)
    return made, np.array([levels[p] for p in prefixes], dense.dtype)


def sparse_file(dense, sparsity, values, kind=np.float32, densify=True) -> bytes:
    """A convolution in a .tflite whose weights are stored sparse, as `kind`, before DENSIFY and DEQUANTIZE."""
    x, w = Tensor("x", (1, 5, 4, SHAPE[3]), "float32"), const("w", dense)
    b = const("b", np.zeros(SHAPE[0], np.float32))
    y = Tensor("y", Conv2D().infer([x, w, b], [])[0][0], "float32")
    node = Node("y", Conv2D(), ("x", "w", "b"), ("y",))
    graph = Graph("case", (node,), {t.name: t for t in (x, w, b, y)}, ("x",), ("y",))
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(writer.write(graph), 0))
    sub = model.subgraphs[0]
    [conv] = sub.operators
    conv.inputs = list(conv.inputs)
    stored = sub.tensors[conv.inputs[1]]
    stored.sparsity = sparsity
    model.buffers[stored.buffer].data = np.frombuffer(values.astype(kind).tobytes(), np.uint8)
    half = kind == np.float16
    stored.type = schema.TensorType.FLOAT16 if half else schema.TensorType.FLOAT32
    before = []
    for builtin, wanted in ((schema.BuiltinOperator.DENSIFY, densify), (schema.BuiltinOperator.DEQUANTIZE, half)):
        if not wanted:
            continue
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
        code.version = 3 if builtin == schema.BuiltinOperator.DEQUANTIZE else 1  # of float16
        model.operatorCodes.append(code)
        out = schema.TensorT()
        out.shape, out.name, out.buffer = list(SHAPE), f"w{builtin}", 0
        float16 = half and builtin == schema.BuiltinOperator.DENSIFY
        out.type = schema.TensorType.FLOAT16 if float16 else schema.TensorType.FLOAT32
        sub.tensors.append(out)
        step = schema.OperatorT()
        step.opcodeIndex, step.inputs = len(model.operatorCodes) - 1, [conv.inputs[1]]
        step.outputs = [len(sub.tensors) - 1]
        conv.inputs[1] = step.outputs[0]
        before.append(step)
    sub.operators = [*before, conv]
    return packed(model)


def packed(model) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


ROWS = ((0, 1, 2, 3), (DENSE, DENSE, DENSE, SPARSE), ())
CASES = {
    "rows": ROWS,
    "all_sparse": ((0, 1, 2, 3), (SPARSE, SPARSE, SPARSE, SPARSE), ()),
    "dense_below_sparse": ((0, 1, 2, 3), (DENSE, SPARSE, DENSE, DENSE), ()),
    "channels_first": ((3, 0, 2, 1), (DENSE, SPARSE, DENSE, SPARSE), ()),
    "blocks": ((0, 1, 2, 3, 4), (DENSE, DENSE, DENSE, SPARSE, DENSE), ((3, 4),)),
    "blocks_of_two": ((0, 1, 2, 3, 5, 4), (DENSE, DENSE, DENSE, SPARSE, DENSE, DENSE), ((0, 2), (3, 4))),
}
