"""Sparse constants of a .tflite: read as dense ones, as LiteRT reads them; damaged encodings end in typed errors."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from sparse_files import CASES, DENSE, ROWS, SHAPE, encode, packed, sparse_file, weights

from intaglio.errors import ModelError, UnsupportedError
from intaglio.frontends.tflite import checked, parse
from intaglio.graph import Graph


def read(data: bytes) -> Graph:
    return checked(parse(data, "sparse.tflite", "sparse"), "sparse.tflite")


def weights_of(graph: Graph) -> np.ndarray:
    [node] = graph.nodes
    return graph.tensors[node.inputs[1]].data


def litert(data: bytes, x: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("case", CASES)
def test_read_as_they_were(case, share):
    dense = weights(share)
    order, formats, blocks = CASES[case]
    for dtype in (np.int32, np.uint16):
        for kind, densify in ((np.float16, True), (np.float32, True), (np.float32, False)):
            encoded = encode(dense, order, formats, blocks, dtype)
            np.testing.assert_array_equal(weights_of(read(sparse_file(dense, *encoded, kind, densify))), dense)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("case", ["rows", "blocks"])
def test_as_litert_reads_them(case, kind):
    """The convolution of LiteRT is that with the dense weights."""
    order, formats, blocks = CASES[case]
    dense = weights(0.3, 5)
    data = sparse_file(dense, *encode(dense, order, formats, blocks, np.uint16), kind)
    x = np.random.default_rng(1).integers(-3, 4, (1, 5, 4, SHAPE[3])).astype(np.float32)
    patches = np.lib.stride_tricks.sliding_window_view(x[0], SHAPE[1:3], axis=(0, 1))
    want = np.einsum("yxchw,ohwc->yxo", patches, weights_of(read(data)))
    np.testing.assert_allclose(litert(data, x)[0, : want.shape[0], : want.shape[1]], want, rtol=1e-6)


def spoilt(spoil) -> bytes:
    dense = weights(0.3)
    sparsity, values = encode(dense, *ROWS)
    values = spoil(sparsity, values)
    return sparse_file(dense, sparsity, values)


def last(change):
    """Spoils the metadata of the only sparse level."""

    def spoil(sparsity, values):
        change(sparsity.dimMetadata[3])
        return values

    return spoil


def doubled(level):
    level.arrayIndices.values[1] = level.arrayIndices.values[0]


def far(level):
    level.arrayIndices.values[0] = SHAPE[3]


def backwards(level):
    level.arraySegments.values[1] = 60000


def absent(level):
    level.arraySegmentsType, level.arraySegments = 0, None


def unknown(level):
    level.format = 7


def other(sparsity, values):
    sparsity.traversalOrder = [0, 1, 1, 3]
    return values


def negative(sparsity, values):
    sparsity.traversalOrder = [0, -1, 2, 3]
    return values


def larger(sparsity, values):
    sparsity.dimMetadata[0].denseSize = 1 << 30
    return values


def outside(sparsity, values):
    sparsity.traversalOrder, sparsity.blockMap = [0, 1, 2, 3, 4], [9]
    sparsity.dimMetadata.append(sparsity.dimMetadata[0])
    return values


def uneven(sparsity, values):
    """Blocks of three in sixteen channels."""
    sparsity.traversalOrder, sparsity.blockMap = [0, 1, 2, 3, 4], [3]
    block = schema.DimensionMetadataT()
    block.format, block.denseSize = DENSE, 3
    sparsity.dimMetadata.append(block)
    return values


DAMAGE = {
    "two values for one place": last(doubled), "an index outside": last(far), "segments over": last(backwards),
    "index vector of the type 0": last(absent), "dimension type 7": last(unknown),
    "traversal order [0, 1, 1, 3]": other,
    "traversal order [0, -1, 2, 3]": negative, "dense level of 1073741824": larger, "values for": lambda _, v: v[:-1],
    "blocks of the dimensions [9]": outside, "blocks of 3 in dimension 3 of 16": uneven,
}  # fmt: skip


@pytest.mark.parametrize("found", DAMAGE)
def test_damaged_encodings(found):
    with pytest.raises(ModelError) as e:
        read(spoilt(DAMAGE[found]))
    assert found in str(e.value) and "tensor w" in str(e.value)


def test_integers_with_a_zero_point_are_refused():
    """What is not stored is the number 0, which is a real 0 only where the zero point is 0."""
    dense = np.round(weights(0.3)).astype(np.float32)
    sparsity, values = encode(dense, *ROWS)
    for zero_point, refused in ((0, False), (3, True)):
        data = sparse_file(dense, sparsity, values, np.int8, False)
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        [stored] = [t for t in model.subgraphs[0].tensors if t.sparsity is not None]
        stored.type, stored.quantization = schema.TensorType.INT8, schema.QuantizationParametersT()
        stored.quantization.scale, stored.quantization.zeroPoint = [0.5], [zero_point]
        data = packed(model)
        if refused:
            with pytest.raises(UnsupportedError, match="sparse encoding and a zero point"):
                read(data)
        else:
            np.testing.assert_array_equal(weights_of(read(data)), dense)


def test_a_small_file_cannot_ask_for_much_memory():
    """A shape of a gigabyte with nothing but zeros, in a file of a kilobyte."""
    dense = weights(0.01)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(sparse_file(dense, *encode(dense, *ROWS)), 0))
    [stored] = [t for t in model.subgraphs[0].tensors if t.sparsity is not None]
    stored.shape = [64, 64, 256, 256]
    with pytest.raises(ModelError, match="for all of the file's sparse constants"):
        read(packed(model))
