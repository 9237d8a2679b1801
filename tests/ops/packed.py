"""Cases whose weights have 4 or 2 bits."""

import numpy as np
from cases import conv2d, depthwise_conv2d, fully_connected, transpose_conv
from harness import const

from intaglio.graph import Graph, Quant, packed_range, verify

CASES = {
    "conv2d": conv2d.case,
    "depthwise_conv2d": depthwise_conv2d.case,
    "fully_connected": fully_connected.case,
    "transpose_conv": lambda rng: transpose_conv.case(rng, free=True),
}


def packed(graph: Graph, bits: int, rng) -> Graph:
    """A case with weights of few bits: anything that fits, or the extremes alone."""
    w = graph.tensors["w"]
    low, high = packed_range(bits)
    data = rng.choice([low, high], w.shape) if rng.random() < 0.2 else rng.integers(low, high + 1, w.shape)
    quant = Quant(w.quant.scale, w.quant.zero_point, w.quant.axis, bits)
    tensors = {**graph.tensors, "w": const("w", data.astype(np.int8), quant)}
    return verify(graph.with_nodes(graph.nodes, tensors), "quantized")


def one_scale(rng):
    """TFLM's FULLY_CONNECTED takes 4-bit weights with one scale only."""
    while True:
        graph = fully_connected.case(rng)
        if graph.tensors["w"].quant.per_tensor:
            return graph
