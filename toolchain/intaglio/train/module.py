"""A float Graph as a PyTorch module whose parameters are the graph's weights, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..errors import DataError, UnsupportedError
from ..floats.run import as_tensors, forward, keeps_batch
from ..graph import Array, Graph, Node, Quant, constant
from ..ops.base import Op

MOMENTUM = 0.1
"""How far the statistics of a batch norm move towards those of each batch: PyTorch's default."""
ATTRIBUTE = {"weights": "weight"}
"""What an input is called as a parameter, where PyTorch has another word for it."""


def graph_module(module: Any) -> GraphModule:
    """The GraphModule that trains: `module`, or the student of a Distillation, which holds one (compress/distil.py)."""
    return getattr(module, "student", module)  # type: ignore[no-any-return]


class GraphModule(nn.Module):  # type: ignore[misc]
    """A float Graph, trainable.

    Constants are parameters or buffers of one small submodule a layer, `module.layers.NAME.weight`, so that
    torch.nn.utils.parametrize works on each. NAME is the layer's name in the graph, made an identifier. A constant
    that several layers read is in the first of them, once. Batch norms normalize by the batch in train() and by their
    running statistics in eval().
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        require_trainable(graph)
        self.graph = graph
        """The graph with the values it came with; `to_graph` gives the current ones."""
        self.layers = nn.Module()
        self.places: dict[str, tuple[str, str]] = {}
        """Constant -> the submodule and the attribute that hold it."""
        self.batched = keeps_batch(graph)
        learned = _learned(graph)
        for node in graph.nodes:
            layer, key = nn.Module(), _identifier(node, self.layers)
            for at, name in enumerate(node.inputs):
                if not name or name in self.places or not graph.tensors[name].is_const:
                    continue
                self.places[name] = key, _attribute(node.op, at)
                value = torch.tensor(graph.tensors[name].data)
                if name in learned:
                    layer.register_parameter(_attribute(node.op, at), nn.Parameter(value))
                else:
                    layer.register_buffer(_attribute(node.op, at), value)
            if layer.state_dict():
                self.layers.add_module(key, layer)

    def constants(self) -> dict[str, Any]:
        """Constant -> its value now, through whatever parametrizations there are."""
        return {name: getattr(getattr(self.layers, k), attribute) for name, (k, attribute) in self.places.items()}

    def forward(self, *inputs: Any) -> Any:
        """One tensor or array per graph input, [n, ...] in the graph's layout (NHWC) -> the output, or a tuple of them.

        It computes in what its weights are, float32 unless it was told otherwise.
        Raises: DataError for another number of inputs or another shape, and for a batch norm in train() that has one
            value a channel, or whose graph moves the batch out of the first dimension.
        """
        constants = self.constants()
        tensors = [_like(x, constants) for x in as_tensors(self.graph, inputs)]
        if self.batched:
            found = forward(self.graph, tensors, None, constants, self._node)
        else:
            each = [[x[i : i + 1] for x in tensors] for i in range(len(tensors[0]))]
            rows = [forward(self.graph, one, None, constants, self._node) for one in each]
            found = gathered(rows, self.graph)
        return found[0] if len(found) == 1 else tuple(found)

    def _node(self, node: Node, xs: list[Any]) -> Any:
        if not (self.training and node.op.statistics):
            return node.op.forward(*xs)
        if not self.batched or xs[0].numel() == xs[0].shape[-1]:
            found = "has one value a channel" if self.batched else "sees one sample at a time in this graph"
            raise DataError(f"batch norm {node.name}", found, "", "Call eval() first, or pass a larger batch")
        return node.op.forward(*xs, momentum=MOMENTUM)  # type: ignore[call-arg]

    def grids(self) -> dict[str, Quant]:
        """Constants -> the grid that their values are on, of those whose last parametrization tells with a method
        `grid`, as codebooks do."""
        found = {}
        for name, (key, attribute) in self.places.items():
            layer = getattr(self.layers, key)
            if nn.utils.parametrize.is_parametrized(layer, attribute):
                last = layer.parametrizations[attribute][-1]
                if hasattr(last, "grid"):
                    found[name] = last.grid()
        return found

    def to_graph(self) -> Graph:
        """The graph with the current values, marked with the grids that they are on."""
        return with_values(self.graph, self.constants(), self.grids())


def _like(x: Any, constants: Mapping[str, Any]) -> Any:
    """Numbers in the type that the constants have; without any, floats as they are."""
    dtypes = [v.dtype for v in constants.values() if v.is_floating_point()]
    return x.to(dtypes[0] if dtypes else x.dtype if x.is_floating_point() else torch.float32)


def with_values(graph: Graph, values: Mapping[str, Any], grids: Mapping[str, Quant]) -> Graph:
    """`graph` with its float32 constants replaced by torch tensors (rounded to float32, copied), and marked with
    `grids`, or else as they were."""
    tensors = dict(graph.tensors)
    for name, value in values.items():
        t = tensors[name]
        if t.dtype == "float32":
            data: Array = value.detach().to("cpu", torch.float32).numpy().copy()
            tensors[name] = constant(name, data, grids.get(name, t.quant))
    return replace(graph, tensors=tensors)


def gathered(rows: list[list[Any]], graph: Graph) -> list[Any]:
    """The outputs for one sample each -> one tensor an output, [n, ...]: the n takes the place of a leading 1."""
    joined: list[Any] = []
    for name, values in zip(graph.outputs, zip(*rows, strict=True), strict=True):
        joined.append(torch.cat(values) if graph.tensors[name].shape[:1] == (1,) else torch.stack(values))
    return joined


def require_trainable(graph: Graph) -> None:
    """Raises UnsupportedError listing everything in a graph that is not float, or has no float meaning in PyTorch."""
    computed = [*graph.inputs, *(n for node in graph.nodes for n in node.outputs)]
    problems = [f"{n} is {graph.tensors[n].dtype}" for n in computed if graph.tensors[n].dtype != "float32"]
    problems += [f"{t.name} is state kept between inferences" for t in graph.states()]
    problems += [f"{n}, an output, is a constant" for n in graph.outputs if graph.tensors[n].is_const]
    for node in graph.nodes:
        if not node.op.has_forward:
            problems.append(f"{node.op.name} ({node.name}) has no float meaning")
        for at in node.op.trainable:
            t = graph.tensors[node.inputs[at]] if at < len(node.inputs) and node.inputs[at] else None
            if t is not None and t.is_const and t.dtype != "float32":
                problems.append(f"{t.name}, an input of {node.op.name} ({node.name}), is {t.dtype}")
    if problems:
        remedy = "Float graphs without state are trained; int8 weights become floats with floats.simplify.simplify"
        raise UnsupportedError(graph.name, list(dict.fromkeys(problems)), remedy)


def _learned(graph: Graph) -> set[str]:
    """The constants that training changes."""
    found: set[str] = set()
    for node in graph.nodes:
        for at, t in enumerate(graph.ins(node)):
            if t is not None and t.is_const and node.op.learns(at, t):
                found.add(t.name)
    return found


def _identifier(node: Node, layers: nn.Module) -> str:
    """The layer's name as an attribute that `layers` does not have yet. TensorFlow's "a;b;c" is "a"."""
    name = re.sub(r"\W+", "_", node.name.split(";")[0], flags=re.ASCII).strip("_")
    if not name or name[0].isdigit():
        name = f"{node.op.name}_{name}".rstrip("_")
    taken, count = name, 0
    while hasattr(layers, taken):
        count += 1
        taken = f"{name}_{count}"
    return taken


def _attribute(op: Op, at: int) -> str:
    """The parameter or buffer name of input `at`."""
    if at >= len(op.input_names):
        return f"input_{at}"
    return ATTRIBUTE.get(op.input_names[at], op.input_names[at])
