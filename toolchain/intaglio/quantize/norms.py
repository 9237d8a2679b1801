"""The constants of layer and instance norms: int16 scales of 12 bits, int32 offsets; ops/normalization.py says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Array, Graph, Node, Quant, Tensor, constant
from ..ops.base import arr
from ..ops.normalization import MAX_SCALE, Normalization, fraction_bits

OFFSET_LIMIT = 1 << 29
"""An offset stays below this, so that it and the scaled numbers fit 32 bits together."""


def with_norm_constants(node: Node, graph: Graph, tensors: dict[str, Tensor]) -> Node:
    """Quantize the scale and the offset of a normalization into `tensors`, under names of the node's own.

    Both are constants of `graph`. The largest scale is MAX_SCALE steps, or fewer where an offset needs the room.
    """
    assert isinstance(node.op, Normalization)
    scale = _real(graph, node.inputs[1])
    offset = _real(graph, node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    bits = fraction_bits(node.op.count(graph.tensors[node.inputs[0]]))
    step = float(np.abs(scale).max()) / MAX_SCALE
    if offset is not None:
        step = max(step, float(np.abs(offset).max()) / OFFSET_LIMIT * 2.0**bits)
    # In float32, so that the file and the graph agree; never 0, and the offset's scale stays a normal number.
    step = float(max(np.nextafter(np.float32(step), np.float32(np.inf)), np.float32(1e-30)))
    names = [node.inputs[0], f"{node.inputs[1]}:{node.name}"]
    tensors[names[1]] = constant(names[1], np.round(scale / step).astype(np.int16), Quant((step,), (0,)))
    if offset is not None:
        unit = step * 2.0**-bits
        names.append(f"{node.inputs[2]}:{node.name}")
        tensors[names[2]] = constant(names[2], np.round(offset / unit).astype(np.int32), Quant((unit,), (0,)))
    return replace(node, inputs=tuple(names))


def _real(graph: Graph, name: str) -> Array:
    return arr(graph.tensors[name].data).astype(np.float64)
