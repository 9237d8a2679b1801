"""Runs a float graph and its quantization together over calibration data, a layer at a time, and adjusts each layer.

Each layer is adjusted on the results of the layers before it, which are adjusted already (Nagel et al., ICML 2020,
section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..floats.run import keeps_batch, torch_module
from ..graph import Array, Graph, Node, Quant, constant
from ..ops.layer import Weighted
from .calibrate import BATCH
from .simulate import real_values, snapped

SAMPLES = 256
"""The most samples that are used. More would measure no better, and a layer's results on all of them are in memory."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer with weights, as floats and as it is quantized so far. All arrays are torch float32."""

    op: Weighted
    """Of the float graph; its activation is fused."""
    axis: int
    """The output-channel dimension of the weights."""
    weights: Any
    coarse: Any
    """The values that the quantized weights stand for."""
    quant: Quant
    """Of the weights."""
    bias: Any
    """[channels]; zeros where the layer has none."""
    corrected: Any
    """The bias that goes with `coarse`."""
    floats: Sequence[Any]
    """Inputs of the layer in the float graph, in portions [n, ...]."""
    rounded: Sequence[Any]
    """The same in the quantized graph, as real values."""


Adjust = Callable[[Layer], Layer]
"""May change `coarse` (to other multiples of the scales) and `corrected`."""
Values = dict[str, list[Any]]
"""Tensor name -> its values for all samples, in portions."""


def adjusted(graph: Graph, quantized: Graph, arrays: Sequence[Array], adjust: Sequence[Adjust]) -> Graph:
    """`graph` with the weights and biases that `adjust` made of each layer, to be quantized with the same ranges.

    Args:
        graph: a simplified float graph.
        quantized: the same, quantized, all of it or a part: layers that stay in float32 stay as they are.
        arrays: one float32 array [n, *shape without the batch] a graph input; the first SAMPLES are used.

    Returns: the float graph, each quantized layer with weights having a bias of its own. Weights that were changed
        lie on the grid of their `Quant`, which quantization keeps.
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
            elif node.op.weighted and quantized.tensors[node.outputs[0]].dtype != "float32":
                before = _layer(mate, node, graph, quantized, floats, rounded)
                layer = before
                for function in adjust:
                    layer = function(layer)
                _advance(layer, mate, node, quantized, floats, rounded)
                names = [mate.inputs[0], *(f"{mate.inputs[1]}:{part}:{mate.name}" for part in ("rounded", "corrected"))]
                if layer.coarse is before.coarse:
                    names[1] = mate.inputs[1]
                else:
                    tensors[names[1]] = constant(names[1], layer.coarse.numpy(), layer.quant)
                tensors[names[2]] = constant(names[2], layer.corrected.numpy())
                nodes[mate.name] = replace(mate, inputs=tuple(names))
            else:
                _step(mate, graph, floats, None)
                _step(node, quantized, rounded, quantized)
            _forget(graph, floats, mate)
            _forget(quantized, rounded, node)
    return graph.with_nodes([nodes[n.name] for n in graph.nodes], tensors)


def _inputs(graph: Graph, arrays: Sequence[Array], size: int) -> Values:
    torch = torch_module()
    found: Values = {}
    for name, x in zip(graph.inputs, arrays, strict=True):
        few = x[:SAMPLES]
        found[name] = [torch.tensor(few[i : i + size]) for i in range(0, len(few), size)]
    return found


def _layer(mate: Node, node: Node, graph: Graph, quantized: Graph, floats: Values, rounded: Values) -> Layer:
    torch = torch_module()
    weights = torch.tensor(graph.tensors[mate.inputs[1]].data)
    fixed = quantized.tensors[node.inputs[1]]
    axis = mate.op.out_axis
    has_bias = len(mate.inputs) > 2 and mate.inputs[2]
    bias = torch.tensor(graph.tensors[mate.inputs[2]].data) if has_bias else torch.zeros(weights.shape[axis])
    op = mate.op.layer
    assert op is not None and fixed.quant is not None
    return Layer(
        op, axis, weights, torch.tensor(real_values(fixed)), fixed.quant, bias, bias,
        floats[mate.inputs[0]], rounded[node.inputs[0]],
    )  # fmt: skip


def _advance(layer: Layer, mate: Node, node: Node, quantized: Graph, floats: Values, rounded: Values) -> None:
    """Run both over the layer."""
    floats[mate.outputs[0]] = [layer.op.forward(x, layer.weights, layer.bias) for x in layer.floats]
    out = quantized.tensors[node.outputs[0]]
    rounded[node.outputs[0]] = [
        snapped(node.op.forward(x, layer.coarse, layer.corrected), out) for x in layer.rounded
    ]  # fmt: skip


def _step(node: Node, graph: Graph, values: Values, snap: Graph | None) -> None:
    """Run one other operator on every portion; with `snap`, its results are rounded to what their integers can hold."""
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


def channels_of(values: Array, axis: int, ndim: int) -> Array:
    """One value a channel, shaped to broadcast along `axis` of an array of `ndim` dimensions."""
    return np.asarray(values).reshape([-1 if d == axis else 1 for d in range(ndim)])
