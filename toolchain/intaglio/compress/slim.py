"""Soft channel pruning: penalties that make channels small during training, so that their removal costs little.

Each function looks at a graph once and gives a penalty: (module, part of the training that is done, in [0, 1]) ->
scalar tensor, for `train.loop.fit(penalty=...)` or for a loss of one's own. The module is `to_module(graph)`, with
whatever parametrizations. Afterwards prune_channels.py removes what has become small.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from ..floats.run import torch_module
from ..graph import Graph
from ..train.loop import Penalty
from ..train.module import graph_module
from .analyses.dependencies import Along, Dependencies, dependencies

TINY = 1e-12
"""Under the root of the group lasso: its gradient stays finite where a group is zero."""


def slimming(graph: Graph, strength: float = 1e-4) -> Penalty:
    """Network slimming: strength * sum of |scale| over the batch norms of all channels that can be removed (Liu et al.,
    ICCV 2017). Then: prune_channels(..., importance=batch_norm_scale, ranking="global").

    Raises: DataError for a negative strength, or a graph without such a batch norm.
    """
    _require(strength)
    found = dependencies(graph)
    scales = {n.inputs[1] for n in graph.nodes if n.op.statistics}
    parts = [a for axes in found.tensors.values() for a in axes if a.tensor in scales]
    if not parts:
        raise DataError(f"graph {graph.name}", "has no batch norm whose channels can be removed")

    def penalty(module: Any, part: float) -> Any:
        values = graph_module(module).constants()
        return strength * sum(values[a.tensor][_cut(a, found)].abs().sum() for a in parts)

    return penalty


def group_lasso(graph: Graph, strength: float = 1e-4) -> Penalty:
    """Group lasso: strength * sum over groups of sqrt(size) * L2 norm of all that training can change of what computes
    the group's channels: filters, biases, scales and shifts of batch norms (Yuan and Lin 2006; Wen et al., NeurIPS
    2016). Whole groups go to zero together. Then: prune_channels(...).

    Raises: DataError for a negative strength.
    """
    _require(strength)
    found = dependencies(graph)
    parts = _learned(graph, found)
    sizes = np.zeros(found.count)
    for a in parts:
        np.add.at(sizes, a.groups[a.groups >= 0], graph.tensors[a.tensor].size / len(a.groups))

    def penalty(module: Any, part: float) -> Any:
        torch = torch_module()
        squares = _squares(module, parts, found.count)
        weights = torch.as_tensor(np.sqrt(sizes), dtype=squares.dtype, device=squares.device)
        return strength * (weights * (squares + TINY).sqrt()).sum()

    return penalty


def growing(graph: Graph, groups: Collection[int], ceiling: float = 1.0) -> Penalty:
    """Growing regularization (GReg-1, Wang et al., ICLR 2021): half the squares of what computes the channels of
    `groups` (as in `group_lasso`), times a factor that grows from 0 to `ceiling` over the training, so that what these
    channels do can move to others before they go. Then: remove_channels(to_graph(module), groups).

    Args:
        groups: what will be removed, from `choose_channels(graph, ...)`.

    Raises: DataError for a negative ceiling or a group that is not there.
    """
    _require(ceiling)
    found = dependencies(graph)
    if not all(0 <= g < found.count for g in groups):
        raise DataError("groups", f"holds a number outside 0 to {found.count - 1}")
    chosen = np.zeros(found.count)
    chosen[list(groups)] = 1.0
    parts = _learned(graph, found)

    def penalty(module: Any, part: float) -> Any:
        torch = torch_module()
        squares = _squares(module, parts, found.count)
        which = torch.as_tensor(chosen, dtype=squares.dtype, device=squares.device)
        return 0.5 * ceiling * part * (which * squares).sum()

    return penalty


def _learned(graph: Graph, found: Dependencies) -> list[Along]:
    """The constants that compute channels, without the statistics of batch norms. Filters alone would not do: a batch
    norm makes up for it when they shrink."""
    fixed = {name for n in graph.nodes for k, name in enumerate(n.inputs) if k in n.op.statistics}
    return [a for a in found.parts("makes", "beside") if a.tensor not in fixed]


def _squares(module: Any, parts: Sequence[Along], count: int) -> Any:
    """The sum of the squares of each group, [count]."""
    torch = torch_module()
    values = graph_module(module).constants()
    some = values[parts[0].tensor] if parts else next(module.parameters())
    total = torch.zeros(count, dtype=some.dtype, device=some.device)
    for a in parts:
        cut = torch.as_tensor(a.groups >= 0)
        squares = values[a.tensor].movedim(a.axis, 0).reshape(len(a.groups), -1).square().sum(1)
        total = total.index_add(0, torch.as_tensor(a.groups)[cut].to(some.device), squares[cut.to(some.device)])
    return total


def _cut(a: Along, found: Dependencies) -> Any:
    return torch_module().as_tensor(a.groups >= 0)


def _require(strength: float) -> None:
    if not 0 <= strength < float("inf"):
        raise DataError("strength", f"is {strength}", "0 or more")
