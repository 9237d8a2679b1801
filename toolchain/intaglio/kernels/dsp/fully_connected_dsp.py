"""FULLY_CONNECTED in int8 with two products an instruction: weights as pairs of channels, see fully_connected_dsp.c."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...graph import Array
from ...ops.base import Buf, Call, Const, Struct
from ...ops.weighted import WeightedLayer
from ...targets import Target
from ..base import Kernel
from ..encodings import stored_encoding

if TYPE_CHECKING:
    from ...graph import Graph, Node

STEM = "fully_connected_dsp"
CHANNELS = 4
"""ITG_FULLY_CONNECTED_DSP_CHANNELS."""
LIMIT = 1 << 23
"""What the sum of a pair's first channel stays below: 24 bits of it are left beside the second channel's."""


@dataclass(frozen=True)
class FullyConnectedDsp(Kernel):
    folder: ClassVar[str] = "dsp"
    costs: ClassVar[Mapping[str, Mapping[str, float]]] = {STEM: {"code": 624, "row": 52.0, "weight": 1.44}}

    def fits(self, node: Node, graph: Graph, target: Target) -> bool:
        layer = _facts(node, graph)
        if layer is None or (layer.stem, layer.x.dtype) != ("fully_connected", "int8") or layer.weights.data is None:
            return False
        first, second = _pairs(layer.weights.data)
        # 256 * A + B has to fit 16 bits.
        fits_a_half = not ((first == -128) & (second < 0)).any()
        return fits_a_half and int(np.abs(first.astype(np.int64)).sum(axis=1).max()) * 128 < LIMIT

    def calls(self, node: Node, graph: Graph, target: Target) -> tuple[Call, ...]:
        layer = _facts(node, graph)
        assert layer is not None
        sizes = dict(layer.sizes)
        low, high = layer.bounds
        fields = (
            *layer.sizes, ("multiplier_step", int(len(layer.multiplier) > 1)),
            ("out_offset", layer.out.zero_point), ("out_min", low), ("out_max", high),
        )  # fmt: skip
        shape = f"[{sizes['out_c']}][{sizes['in_c']}] in pairs of channels"
        args = (
            Buf(layer.x.name), Const("pairs", packed(_data(layer)), shape, weights=True, align=4),
            Const("sums", _sums(layer, graph), "bias less the weights' sum times the input's zero point", weights=True),
            *layer.factors, Buf(layer.out.name), Struct(f"itg_{STEM}_params", fields),
        )  # fmt: skip
        return (Call(STEM, f"itg_{STEM}", args, self.folder),)


def packed(weights: Array) -> Array:
    """int8 [out_c][in_c] -> uint32 [out_c / 4][in_c / 4][2][2], both rounded up: halves of 256 * A + B."""
    first, second = _pairs(weights)
    halves = (first.astype(np.int32) << 8) + second  # [pairs][in_c]
    # [out_c / 4][pair][in_c / 4][input]: inputs 0 and 2 share a word, and 1 and 3.
    halves = halves.reshape(-1, CHANNELS // 2, weights.shape[1] + -weights.shape[1] % 4).astype(np.uint16)
    halves = halves.reshape(*halves.shape[:2], -1, 4).astype(np.uint32)
    words = halves[..., :2] | halves[..., 2:] << np.uint32(16)
    return np.ascontiguousarray(words.transpose(0, 2, 3, 1)).astype(np.uint32)


def _facts(node: Node, graph: Graph) -> WeightedLayer | None:
    """None for what has no weights, or has them in an encoding."""
    layer = None if stored_encoding(node, graph) else node.op.layer
    return None if layer is None else layer.facts(node, graph)


def _pairs(weights: Array) -> tuple[Array, Array]:
    """First and second channels of all pairs, [pairs][in_c], both sides filled up with zeros."""
    rows, columns = weights.shape
    filled = np.pad(weights, ((0, -rows % CHANNELS), (0, -columns % 4)))
    return filled[::2], filled[1::2]


def _data(layer: WeightedLayer) -> Array:
    assert layer.weights.data is not None
    return layer.weights.data


def _sums(layer: WeightedLayer, graph: Graph) -> Array:
    """int32 [out_c]. Within 32 bits: less than the largest sum, which is checked (ops/fixed.py)."""
    bias = graph.tensors[layer.bias].data if layer.bias else None
    sums = -layer.x.zero_point * _data(layer).astype(np.int64).sum(axis=1)
    return np.asarray(sums + (0 if bias is None else bias), np.int32)
