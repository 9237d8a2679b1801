"""Bias correction: quantized weights shift the mean of a layer's result; its bias takes the shift back.

Nagel et al., ICCV 2019, section 4.2, in its empirical form: the shift is measured on calibration data, layer after
layer, with what the layers before it, corrected already, really give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Array, Graph, Node, constant
from ..train.float_run import keeps_batch, torch_module
from .calibrate import BATCH
from .scales import WEIGHTED
from .simulate import real_values, snapped

SAMPLES = 256
"""More are not looked at: a mean is known well enough, and the results of a layer on all samples are in memory."""


def correct_bias(graph: Graph, quantized: Graph, arrays: Sequence[Array]) -> Graph:
    """`graph` with biases for which the mean of every channel of `quantized` is that of the floats.

    Args:
        graph: a simplified float graph.
        quantized: the same, quantized, all of it or a part: its rounded weights and the quantization of its tensors
            are what is corrected.
        arrays: one float32 array [n, *shape without the batch] a graph input; the first SAMPLES are used.

    Returns: the float graph, each quantized layer with weights having a bias of its own, to be quantized with the same
        ranges.
    """
    torch = torch_module()
    tensors, nodes = dict(graph.tensors), {n.name: n for n in graph.nodes}
    size = BATCH if keeps_batch(graph) else 1
    with torch.no_grad():
        floats = _inputs(graph, arrays, size)
        rounded = {name: [snapped(x, quantized.tensors[name]) for x in parts] for name, parts in floats.items()}
        for node in quantized.nodes:
            mate = nodes.get(node.name)  # a QUANTIZE that quantization put in has none
            if mate is None:
                _step(node, quantized, rounded, quantized)
            elif node.op.name in WEIGHTED and quantized.tensors[node.outputs[0]].dtype != "float32":
                mean = _correct(mate, node, graph, quantized, floats, rounded)
                name = f"{mate.inputs[1]}:corrected:{mate.name}"
                tensors[name] = constant(name, mean)
                nodes[mate.name] = replace(mate, inputs=(*mate.inputs[:2], name))
            else:
                _step(mate, graph, floats, None)
                _step(node, quantized, rounded, quantized)
            _forget(graph, floats, mate)
            _forget(quantized, rounded, node)
    return graph.with_nodes([nodes[n.name] for n in graph.nodes], tensors)


Values = dict[str, list[Any]]
"""Tensor name -> its values for all samples, in portions."""


def _inputs(graph: Graph, arrays: Sequence[Array], size: int) -> Values:
    torch = torch_module()
    found: Values = {}
    for name, x in zip(graph.inputs, arrays, strict=True):
        few = x[:SAMPLES]
        found[name] = [torch.tensor(few[i : i + size]) for i in range(0, len(few), size)]
    return found


def _correct(node: Node, integer: Node, graph: Graph, quantized: Graph, floats: Values, rounded: Values) -> Array:
    """Advance both runs over a layer with weights; its corrected bias, float32 [channels].

    The shift is that of the sums, before the activation: a clamp would hide part of it.
    """
    torch = torch_module()
    weights = torch.tensor(graph.tensors[node.inputs[1]].data)
    coarse = torch.tensor(real_values(quantized.tensors[integer.inputs[1]]))
    channels = weights.shape[WEIGHTED[node.op.name]]
    has_bias = len(node.inputs) > 2 and node.inputs[2]
    bias = torch.tensor(graph.tensors[node.inputs[2]].data) if has_bias else torch.zeros(channels)
    sums = replace(node.op, activation="none")  # type: ignore[call-arg]
    shift, count = torch.zeros(channels, dtype=torch.float64), 0
    # Two sums for each portion, not kept: memory holds one tensor of all samples a run.
    for x, seen in zip(floats[node.inputs[0]], rounded[integer.inputs[0]], strict=True):
        difference = sums.forward(x, weights, bias) - sums.forward(seen, coarse, bias)
        shift += difference.double().reshape(-1, channels).sum(0)
        count += difference.numel() // channels
    corrected = (bias.double() + shift / count).float()
    floats[node.outputs[0]] = [node.op.forward(x, weights, bias) for x in floats[node.inputs[0]]]
    out = quantized.tensors[integer.outputs[0]]
    rounded[integer.outputs[0]] = [
        snapped(integer.op.forward(x, coarse, corrected), out) for x in rounded[integer.inputs[0]]
    ]
    return np.asarray(corrected.numpy())


def _step(node: Node, graph: Graph, values: Values, snap: Graph | None) -> None:
    """Run one other operator on every portion; with `snap`, its results take the values that their integers can."""
    torch = torch_module()
    results: list[list[Any]] = []
    # An operator on constants alone has been computed by simplify: one input at least varies.
    for i in range(next(len(values[name]) for name in node.inputs if name in values)):
        ins = []
        for name in node.inputs:
            t = graph.tensors[name] if name else None
            fixed = t is not None and t.is_const
            data = (real_values(t) if snap else t.data) if fixed and t is not None else None
            ins.append(torch.tensor(data) if fixed else values[name][i] if name else None)
        found = node.op.forward(*ins)
        results.append(list(found) if isinstance(found, tuple | list) else [found])
    for k, name in enumerate(node.outputs):
        values[name] = [snapped(r[k], snap.tensors[name]) if snap else r[k] for r in results]


def _forget(graph: Graph, values: Values, node: Node | None) -> None:
    """Drop what nothing after `node` reads."""
    if node is None:
        return
    later = graph.nodes[[n.name for n in graph.nodes].index(node.name) + 1 :]
    wanted = {name for n in later for name in n.inputs}
    for name in [n for n in values if n not in wanted]:
        del values[name]
