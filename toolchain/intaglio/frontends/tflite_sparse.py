"""Constants that a .tflite stores sparse (SparsityParameters of the TFLite schema) -> dense arrays.

The format is that of a tree, a level a dimension, in the order of `traversal_order`: below a DENSE level hang all its
indices, below a SPARSE_CSR level those of `array_indices` that the parent's two neighbours in `array_segments` bound.
Each leaf is a stored value. Dimensions numbered from the rank on are of blocks: `block_map` names the dimension that
each divides (Chou, Kjolstad and Amarasinghe, OOPSLA 2018, describe such formats in general).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tflite

from ..errors import ModelError
from ..graph import Array

_VECTORS = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}
_DENSE, _SPARSE = 0, 1
_REMEDY = "Export the model again"


def densify(sparsity: Any, values: Array, shape: tuple[int, ...], where: str, file_bytes: int) -> Array:
    """A dense array of `shape`, zero wherever nothing is stored.

    Args:
        sparsity: the tensor's SparsityParameters.
        values: what is stored, flat.
        shape: of the dense tensor; the caller has bounded its size.
        file_bytes: no level of a sound file has more entries than the file has bytes.

    Raises: ModelError where the parameters contradict themselves, the shape or the number of values.
    """
    rank = len(shape)
    order = [int(d) for d in np.atleast_1d(sparsity.TraversalOrderAsNumpy())] if sparsity.TraversalOrderLength() else []
    blocked = [int(d) for d in np.atleast_1d(sparsity.BlockMapAsNumpy())] if sparsity.BlockMapLength() else []
    levels = rank + len(blocked)
    _expect(
        levels <= 2 * rank and sorted(order) == list(range(levels)) and sparsity.DimMetadataLength() == levels,
        where, f"the traversal order {order[:16]} for {rank} dimensions and {len(blocked)} blocks",
    )  # fmt: skip
    _expect(
        len(set(blocked)) == len(blocked) and all(0 <= d < rank for d in blocked),
        where, f"blocks of the dimensions {blocked} of {rank}",
    )  # fmt: skip
    metadata = [sparsity.DimMetadata(k) for k in range(levels)]
    sizes = list(shape) + [1] * len(blocked)
    for level, d in enumerate(order):
        if d >= rank:
            block, of = int(metadata[level].DenseSize()), blocked[d - rank]
            _expect(block > 0 and shape[of] % block == 0, where, f"blocks of {block} in dimension {of} of {shape[of]}")
            sizes[d], sizes[of] = block, shape[of] // block
    index = [np.zeros(1, np.int64) for _ in range(levels)]
    for level, d in enumerate(order):
        parent, child = _level(metadata[level], sizes[d], len(index[0]), where, file_bytes)
        index = [child if k == d else i[parent] for k, i in enumerate(index)]
    _expect(len(index[0]) == values.size, where, f"{values.size} values for {len(index[0])} places")
    for d, of in enumerate(blocked):
        index[of] = index[of] * sizes[rank + d] + index[rank + d]
    places = np.ravel_multi_index(index[:rank], shape) if rank else np.zeros(1, np.int64)
    _expect(len(np.unique(places)) == len(places), where, "two values for one place")
    dense = np.zeros(math.prod(shape), values.dtype)
    dense[places] = values
    return dense.reshape(shape)


def _level(metadata: Any, size: int, parents: int, where: str, file_bytes: int) -> tuple[Array, Array]:
    """Of each entry of a level, its parent's number and its own index."""
    kind = metadata.Format()
    if kind == _DENSE:
        _expect(metadata.DenseSize() == size, where, f"a dense level of {metadata.DenseSize()} for {size}")
        _expect(parents * size <= file_bytes, where, f"{parents * size} entries in {file_bytes} bytes")
        return np.repeat(np.arange(parents), size), np.tile(np.arange(size), parents)
    _expect(kind == _SPARSE, where, f"the dimension type {kind}")
    segments = _vector(metadata.ArraySegmentsType(), metadata.ArraySegments(), where, file_bytes)
    indices = _vector(metadata.ArrayIndicesType(), metadata.ArrayIndices(), where, file_bytes)
    counts = np.diff(segments)
    bounded = len(segments) == parents + 1 and segments[0] == 0 and segments[-1] == len(indices)
    _expect(
        bounded and bool((counts >= 0).all()),
        where, f"{len(segments)} segments over {len(indices)} indices for {parents} parents",
    )  # fmt: skip
    _expect(bool(((indices >= 0) & (indices < size)).all()), where, f"an index outside 0..{size - 1}")
    return np.repeat(np.arange(parents), counts), indices


def _vector(kind: int, table: Any, where: str, file_bytes: int) -> Array:
    """One of the schema's index vectors as int64."""
    _expect(kind in _VECTORS and table is not None, where, f"an index vector of the type {kind}")
    vector = _VECTORS[kind]()
    vector.Init(table.Bytes, table.Pos)
    n = vector.ValuesLength()
    _expect(n <= file_bytes, where, f"{n} indices in {file_bytes} bytes")
    return np.asarray(vector.ValuesAsNumpy(), np.int64).reshape(-1) if n else np.zeros(0, np.int64)


def _expect(sound: bool, where: str, found: str) -> None:
    if not sound:
        raise ModelError(where, f"the file is damaged: its sparse encoding has {found}", "", _REMEDY)
