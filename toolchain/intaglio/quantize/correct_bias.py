"""Bias correction: quantized weights shift the mean of a layer's result; its bias takes the shift back.

Nagel et al., ICCV 2019, section 4.2, in its empirical form: the shift is measured on calibration data, layer after
layer. Each layer gets the results of the layers before it, which are corrected already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..floats.run import torch_module
from ..graph import Array, Graph
from .side_by_side import Layer, adjusted


def correct_bias(graph: Graph, quantized: Graph, arrays: Sequence[Array]) -> Graph:
    """`graph` with corrected biases: once it is quantized, every channel has the mean that it has in floats.

    Args: see side_by_side.adjusted.
    Returns: the float graph, each quantized layer with weights having a bias of its own, to be quantized with the same
        ranges.
    """
    return adjusted(graph, quantized, arrays, [without_shift])


def without_shift(layer: Layer) -> Layer:
    """The layer with the bias that takes the shift back.

    The shift is that of the sums, before the activation: a clamp would hide part of it.
    """
    torch = torch_module()
    channels = layer.weights.shape[layer.axis]
    sums = replace(layer.op, activation="none")  # type: ignore[call-arg]
    shift, count = torch.zeros(channels, dtype=torch.float64), 0
    # Two sums for each portion, not kept: memory holds one tensor of all samples a run.
    for x, seen in zip(layer.floats, layer.rounded, strict=True):
        difference = sums.forward(x, layer.weights, layer.bias) - sums.forward(seen, layer.coarse, layer.bias)
        shift += difference.double().reshape(-1, channels).sum(0)
        count += difference.numel() // channels
    return replace(layer, corrected=(layer.bias.double() + shift / count).float())
