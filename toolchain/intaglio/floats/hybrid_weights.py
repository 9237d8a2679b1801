"""int8 weights of an otherwise float model (TFLite's "dynamic range" quantization) become the floats they stand for."""

from __future__ import annotations

import numpy as np

from ..graph import Array, Graph, Tensor, constant


def hybrid_weights(graph: Graph) -> Graph:
    """Dequantize every int8 constant that a node with float inputs reads; QUANTIZE and DEQUANTIZE keep theirs."""
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        flowing = [t for t in graph.ins(node) if t is not None and not t.is_const]
        if not flowing or any(t.dtype != "float32" for t in (*flowing, *graph.outs(node))):
            continue
        for t in graph.ins(node):
            if t is not None and t.is_const and t.dtype == "int8" and t.quant is not None:
                tensors[t.name] = constant(t.name, _floats(t))
    return graph.with_nodes(graph.nodes, tensors)


def _floats(t: Tensor) -> Array:
    assert t.quant is not None and t.data is not None
    scale, zero = np.array(t.quant.scale, np.float32), np.array(t.quant.zero_point, np.int32)
    if t.quant.axis is not None:
        along = [1] * len(t.shape)
        along[t.quant.axis] = -1
        scale, zero = scale.reshape(along), zero.reshape(along)
    return np.asarray((t.data.astype(np.int32) - zero).astype(np.float32) * scale)
