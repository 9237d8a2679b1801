"""How much a group of channels matters: a score each, greater for what should stay, comparable between layers.

An importance is a function (graph, dependencies) -> float64 [count]. A score of infinity keeps a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...errors import DataError
from ...floats.run import check_inputs, forward, keeps_batch, torch_module
from ...graph import Array, Graph
from .dependencies import Dependencies

Importance = Callable[[Graph, Dependencies], Array]
BATCH = 32
"""Samples whose gradients Taylor importance takes together, and that are run at a time."""


def l1(graph: Graph, found: Dependencies) -> Array:
    """The L1 norm of the filters that compute a channel, relative to the mean of their layer (Li et al., ICLR 2017).

    Filters count with the batch norm behind them folded in: without it their size means nothing.
    """
    return _norms(graph, found, 1)


def l2(graph: Graph, found: Dependencies) -> Array:
    """Like `l1`, with the L2 norm."""
    return _norms(graph, found, 2)


def _norms(graph: Graph, found: Dependencies, order: int) -> Array:
    parts = []
    for a in found.parts("makes"):
        rows = np.moveaxis(np.asarray(graph.tensors[a.tensor].data, np.float64), a.axis, 0).reshape(len(a.groups), -1)
        parts.append((a.groups, _relative(np.linalg.norm(rows, order, axis=1) * _factors(graph, a.tensor))))
    return _means(found.count, parts)


def _factors(graph: Graph, weights: str) -> Array | float:
    """What the batch norm that alone reads a layer's output multiplies its channels by, as a magnitude; 1 without."""
    [node, *others] = [n for n in graph.nodes if weights in n.inputs]
    readers = graph.consumers(node.outputs[0])
    if others or len(readers) != 1 or not all(t is not None and t.is_const for t in graph.ins(readers[0])[1:]):
        return 1.0
    found = readers[0].op.affine(graph.ins(readers[0]))
    return 1.0 if found is None else np.abs(found[0])


def batch_norm_scale(graph: Graph, found: Dependencies) -> Array:
    """The magnitude of a channel's batch norm scale (network slimming, Liu et al., ICCV 2017), as it is: the penalty
    that makes scales small treats all layers alike. Channels without a batch norm stay.

    Raises: DataError for a graph without a batch norm.
    """
    parts = []
    for name in {n.inputs[1]: None for n in graph.nodes if n.op.statistics}:
        for a in found.tensors.get(name, ()):
            parts.append((a.groups, np.abs(np.asarray(graph.tensors[name].data, np.float64))))
    if not parts:
        remedy = "Take another importance, or a model with batch norms that are not folded"
        raise DataError(f"graph {graph.name}", "has no batch norm whose channels can be removed", "", remedy)
    scored = np.isin(np.arange(found.count), np.concatenate([groups for groups, _ in parts]))
    return np.where(scored, _means(found.count, parts), np.inf)


def activation(*inputs: Array) -> Importance:
    """The mean absolute activation of a channel where it is read, relative to the mean of the tensor.

    Args:
        inputs: one array per graph input, [n, *shape without the batch].

    The importance raises DataError for other inputs, ToolError without PyTorch.
    """

    def importance(graph: Graph, found: Dependencies) -> Array:
        torch = torch_module()
        _check(graph, inputs)
        read = {n.inputs[0] for n in graph.nodes if any(_reads(found, name) for name in n.inputs[1:])}
        read = read or set(found.tensors)
        axes = {n: axes[0] for n, axes in found.tensors.items() if n in read and axes[0].role == "flows"}
        sums = {n: np.zeros(len(a.groups)) for n, a in axes.items()}

        def visit(name: str, value: Any) -> None:
            if name in axes:
                across = [d for d in range(value.dim()) if d != axes[name].axis]
                sums[name] += value.abs().sum(across, dtype=torch.float64).numpy()

        with torch.no_grad():
            for rows in _batches(graph, inputs):
                forward(graph, [torch.tensor(x, dtype=torch.float32) for x in rows], visit)
        return _means(found.count, [(a.groups, _relative(sums[n])) for n, a in axes.items()])

    return importance


def taylor(x: Array | Sequence[Array], y: Array, loss: Callable[[Any, Any], Any] | None = None) -> Importance:
    """The squared change of the loss when a channel is removed, to first order: (sum of w * dL/dw)^2 over the weights
    that read it, mean over batches (Molchanov et al., CVPR 2019). That sum is also activation times gradient, at the
    places where the channel is read. Comparable across layers as it is.

    Args:
        x: one array per graph input, [n, *shape without the batch].
        y: targets, [n, ...].
        loss: from (outputs, targets) to a scalar tensor; cross entropy of class numbers when left out.

    The importance raises DataError for data that does not fit the graph, ToolError without PyTorch.
    """
    inputs = [x] if isinstance(x, np.ndarray) else list(x)

    def importance(graph: Graph, found: Dependencies) -> Array:
        torch = torch_module()
        _check(graph, inputs)
        targets = _targets(graph, inputs, y, loss is None)
        module = _module(graph)
        values = module.constants()
        parts = [a for a in found.parts("reads") if values[a.tensor].requires_grad]
        names = list(dict.fromkeys(a.tensor for a in parts))
        total, batches = np.zeros(found.count), 0
        for i in range(0, len(y), BATCH):
            rows = [torch.tensor(a[i : i + BATCH], dtype=torch.float32) for a in inputs]
            value = (loss or torch.nn.functional.cross_entropy)(module(*rows), targets[i : i + BATCH])
            grads = dict(zip(names, torch.autograd.grad(value, [values[n] for n in names]), strict=True))
            change = np.zeros(found.count)
            for a in parts:
                product = (values[a.tensor].detach() * grads[a.tensor]).double()
                across = [d for d in range(product.dim()) if d != a.axis]
                cut = a.groups >= 0
                np.add.at(change, a.groups[cut], product.sum(across).numpy()[cut])
            total += change**2
            batches += 1
        return total / batches

    return importance


# ---- what they share ----------------------------------------------------------------------------------------------


def _relative(values: Array) -> Array:
    """Divided by their mean, so that layers compare; zeros stay zeros."""
    mean = float(values.mean())
    return values / mean if mean > 0 else values


def _means(count: int, parts: Sequence[tuple[Array, Array]]) -> Array:
    """For each group the mean of what the parts (groups, values) say of it; 0 where they say nothing."""
    total, times = np.zeros(count), np.zeros(count)
    for groups, values in parts:
        cut = groups >= 0
        np.add.at(total, groups[cut], values[cut])
        np.add.at(times, groups[cut], 1)
    return total / np.maximum(times, 1)


def _reads(found: Dependencies, name: str) -> bool:
    return any(a.role == "reads" for a in found.tensors.get(name, ()))


def _module(graph: Graph) -> Any:
    from ...train import to_module

    return to_module(graph).eval()


def _check(graph: Graph, inputs: Sequence[Array]) -> None:
    check_inputs(graph, inputs)
    if not all(len(x) == len(inputs[0]) and len(x) for x in inputs):
        raise DataError("importance", f"has {[len(x) for x in inputs]} samples", "as many of each input, one at least")


def _targets(graph: Graph, inputs: Sequence[Array], y: Array, classes: bool) -> Any:
    torch = torch_module()
    if len(y) != len(inputs[0]):
        raise DataError("importance", f"has {len(inputs[0])} inputs and {len(y)} targets", "as many of both")
    if not classes:
        return torch.as_tensor(np.ascontiguousarray(y))
    outputs = graph.tensors[graph.outputs[0]].shape[-1]
    if np.ndim(y) != 1 or not np.issubdtype(np.asarray(y).dtype, np.integer) or y.min() < 0 or y.max() >= outputs:
        found = f"are {np.asarray(y).dtype}{list(np.shape(y))}, {np.min(y)} to {np.max(y)}"
        raise DataError("labels", found, f"class numbers 0 to {outputs - 1}", "Other targets need a loss of their own")
    return torch.as_tensor(np.ascontiguousarray(y)).long()


def _batches(graph: Graph, inputs: Sequence[Array]) -> Iterator[list[Array]]:
    """Inputs some at a time; one at a time where the graph moves the batch out of the first dimension."""
    step = BATCH if keeps_batch(graph) else 1
    for i in range(0, len(inputs[0]), step):
        yield [x[i : i + step] for x in inputs]
