"""Runs a float Graph in PyTorch, operator by operator, through each operator's `forward`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import DataError
from ..extras import missing
from ..graph import Array, Graph, Node

Visit = Callable[[str, Any], None]
Apply = Callable[[Node, list[Any]], Any]


def torch_module() -> Any:
    """PyTorch itself. Raises ToolError when it is not installed."""
    try:
        import torch
    except ImportError as e:
        raise missing("torch") from e
    return torch


def forward(
    graph: Graph,
    inputs: Sequence[Any],
    visit: Visit | None = None,
    constants: Mapping[str, Any] | None = None,
    apply: Apply | None = None,
) -> list[Any]:
    """The graph on torch tensors, differentiable.

    Args:
        graph: a float graph without state.
        inputs: one float tensor per graph input, [n, ...] with n in place of the batch of 1.
        visit: called with the name and the value of each input and computed tensor.
        constants: the values of the graph's constants; without it those that the graph holds.
        apply: computes a node from its inputs' values (None for an absent one); without it the operator's `forward`.

    Returns: the outputs, in the graph's layout (NHWC), [n, ...].
    """
    torch = torch_module()
    if constants is None:
        constants = {t.name: torch.tensor(t.data) for t in graph.tensors.values() if t.is_const}
    values: dict[str, Any] = dict(constants)
    for name, x in zip(graph.inputs, inputs, strict=True):
        values[name] = x
        if visit is not None:
            visit(name, x)
    for node in graph.nodes:
        xs = [values[n] if n else None for n in node.inputs]
        found = node.op.forward(*xs) if apply is None else apply(node, xs)
        for name, value in zip(node.outputs, found if isinstance(found, tuple | list) else (found,), strict=True):
            values[name] = value
            if visit is not None:
                visit(name, value)
    return [values[n] for n in graph.outputs]


def run_float(graph: Graph, inputs: Sequence[Array], visit: Visit | None = None) -> list[Array]:
    """`forward` on NumPy arrays, without gradients.

    Args:
        inputs: one float32 array per graph input, [n, *shape without the batch].

    Raises: DataError for another number of inputs or another shape.
    """
    torch = torch_module()
    check_inputs(graph, inputs)
    with torch.no_grad():
        found = forward(graph, [torch.tensor(x, dtype=torch.float32) for x in inputs], visit)
        return [f.numpy() for f in found]


def check_inputs(graph: Graph, inputs: Sequence[Any]) -> None:
    """Raises DataError unless there is one array or tensor per graph input, [n, *shape without the batch]."""
    if len(inputs) != len(graph.inputs):
        raise DataError(f"graph {graph.name}", f"{len(inputs)} inputs were given", f"{len(graph.inputs)}")
    for name, x in zip(graph.inputs, inputs, strict=True):
        shape = graph.tensors[name].shape
        if tuple(x.shape[1:]) != shape[1:]:
            raise DataError(f"input {name}", f"has the shape {list(x.shape)}", f"[n, {str(list(shape[1:]))[1:]}")


def as_tensors(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    """The inputs of a module of `graph` as torch tensors [n, ...], of whatever dtype they have: arrays come in as well,
    and the graph's own leading 1 may stand behind the n.

    Raises: DataError for what is no array of numbers, another number of inputs or another shape.
    """
    torch = torch_module()
    found = []
    for k, x in enumerate(inputs):
        try:
            x = torch.as_tensor(x)
        except (TypeError, ValueError, RuntimeError) as e:
            raise DataError(f"input {k}", f"is {type(x).__name__}: {e}", "a tensor, or an array of numbers") from None
        shape = graph.tensors[graph.inputs[k]].shape if k < len(graph.inputs) else ()
        whole = shape[:1] == (1,) and x.dim() == len(shape) + 1 and tuple(x.shape[1:]) == shape
        found.append(x.reshape(len(x), *shape[1:]) if whole else x)
    check_inputs(graph, found)
    return found


def keeps_batch(graph: Graph) -> bool:
    """Whether every tensor that is computed has the batch first, so that samples can be run together."""
    names = {*graph.inputs, *(n for node in graph.nodes for n in node.outputs)}
    return all(graph.tensors[n].shape[:1] == (1,) for n in names)
