"""Kernels that decode weights while they compute: STEM_ENCODING.c for each operator and encoding that has one.

One class serves them all: they differ only in the arrays that an encoding gives (kernels/encodings). So an encoding is
a module and its C files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .. import sources
from ..errors import GraphError
from ..graph import INT_RANGE, Array
from ..ops.base import Arg, Buf, Call, Null, Num, Scratch
from ..ops.weighted import WeightedLayer
from ..targets import Target
from .base import Kernel
from .encodings import encode, encoding_of, matrix, stored_encoding

if TYPE_CHECKING:
    from ..graph import Graph, Node

LISTED = 0.8
"""The density up to which a list of nonzeros is worth its scratch, 4 bytes each."""


@dataclass(frozen=True)
class Encoded(Kernel):
    """Decodes an output channel's weights into scratch and uses them at all positions (conv2d_huffman.c), or multiplies
    while it decodes (fully_connected_huffman.c)."""

    def fits(self, node: Node, graph: Graph, target: Target) -> bool:
        name = stored_encoding(node, graph)
        layer = _layer(node, graph) if name else None
        return layer is not None and sources.exists(self.folder, f"{layer.stem}_{name}")

    def calls(self, node: Node, graph: Graph, target: Target) -> tuple[Call, ...]:
        layer = _layer(node, graph)
        assert layer is not None and layer.weights.data is not None
        w, name = layer.weights, encoding_of(layer.weights)
        rows = matrix(layer.weights.data)
        encoded = encode(name, rows)
        if encoded is None:
            raise GraphError(f"tensor {w.name}", f"holds weights that the encoding {name} cannot", "another encoding")
        shape = "".join(f"[{d}]" for d in w.shape)
        arrays = [replace(a, comment=f"{shape}, {a.comment}") for a in encoded.arrays]
        scratch: tuple[Arg, ...] = (Scratch(encoded.ram_bytes, "int32"),) * (encoded.ram_bytes > 0)
        scratch += (Scratch(layer.row),) * (layer.row > 0)
        if encoded.skips and layer.row > 0:
            scratch += _nonzeros(layer, rows)
        # The params are those of the portable kernel, by whose meaning it goes.
        params = layer.params(f"itg_{layer.stem}_s8_params")
        out = Buf(layer.out.name)
        args = (Buf(layer.x.name), *arrays, layer.bias_argument, *layer.factors, out, *scratch, params)
        return (Call(f"{layer.stem}_{name}", f"itg_{layer.stem}_{name}", args),)


def _layer(node: Node, graph: Graph) -> WeightedLayer | None:
    """The facts of a layer with weights. FULLY_CONNECTED unpacks packed weights on the spot, even for several rows:
    that is faster than keeping a row."""
    layer = node.op.layer
    if layer is None:
        return None
    return layer.facts(node, graph, by_channel=bool(graph.tensors[node.inputs[1]].encoding))


def _nonzeros(layer: WeightedLayer, rows: Array) -> tuple[Arg, Arg]:
    """The scratch for a list of a row's nonzeros, 4 bytes each and 2 for each tap and the end, and how many nonzeros
    they are at most; see conv2d_nonzeros.h. None and -1 where no row is worth a list: one with many nonzeros is faster
    as it is."""
    counts = np.count_nonzero(rows, axis=1)
    worth = counts[counts <= rows.shape[1] * LISTED]
    if not worth.size or layer.span is None or layer.span > INT_RANGE["int16"][1]:
        return Null(), Num(-1)
    size = int(worth.max())
    return Scratch(4 * size + 2 * (layer.taps + 1), "int16"), Num(size)
