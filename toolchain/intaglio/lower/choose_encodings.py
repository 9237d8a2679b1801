"""How flash holds the weights of each layer: chosen by what each encoding takes, under a stated preference.

The bytes of an encoding are exact: it is made, with its tables. A kernel's code counts once, however many layers use it
(lower/encodings/costs.json, measured on the Cortex-M4). All choices are compared, so none is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from .. import assets
from ..errors import DataError
from ..graph import Graph, Node, Preference, Tensor
from ..ops.base import Call, Const, arr
from .encoding_costs import code_bytes
from .encodings import encode, encoding_of, matrix, names

PREFERENCES: tuple[str, ...] = get_args(Preference)


@dataclass(frozen=True)
class Option:
    """What the weights of a tensor take in one encoding, at all layers that use it.

    Attributes:
        encoding: "" for the weights as they are.
        flash_bytes: weights and tables, without code.
        ram_bytes: scratch in the arena, of the layer that takes most.
        kernels: the stems of the kernels that run it.
    """

    encoding: str
    flash_bytes: int
    ram_bytes: int
    kernels: frozenset[str]


@dataclass(frozen=True)
class Layer:
    """Weights to be stored: the tensors that hold them (equal ones are stored once), the layers that use them, the ways
    to store them."""

    tensors: tuple[str, ...]
    nodes: tuple[str, ...]
    options: tuple[Option, ...]


def choose_encodings(graph: Graph, preference: Preference) -> Graph:
    """A quantized graph with the encoding of each weight tensor; `dense` leaves it as it is.

    Raises DataError for an unknown preference.
    """
    if preference not in PREFERENCES:
        raise DataError("weights", f"is {preference!r}", ", ".join(PREFERENCES))
    if preference == "dense":
        return graph
    layers = options(graph)
    tensors = dict(graph.tensors)
    for layer, option in zip(layers, smallest(layers), strict=True):
        tensors |= {name: replace(tensors[name], encoding=option.encoding) for name in layer.tensors}
    return replace(graph, tensors=tensors)


def options(graph: Graph) -> list[Layer]:
    """What there is to choose from: every int8 weight tensor that is nothing else, in each encoding for which its
    operators have a kernel."""
    equal: dict[tuple[int, bytes], list[str]] = {}
    for t in graph.tensors.values():
        if t.data is not None and _is_weights(graph, t):
            equal.setdefault((t.shape[0], t.data.tobytes()), []).append(t.name)
    found = []
    for tensors in equal.values():
        users = [n for n in graph.nodes if set(tensors) & set(n.inputs)]
        every = [_option(graph, users, tensors, name) for name in ("", *names())]
        found.append(Layer(tuple(tensors), tuple(n.name for n in users), tuple(o for o in every if o is not None)))
    return [layer for layer in found if len(layer.options) > 1]


def smallest(layers: Sequence[Layer]) -> list[Option]:
    """An option for each layer, so that their bytes and the code of all kernels together are fewest."""
    chosen: dict[int, Option] = {}
    for part in _independent(layers):
        kernels = sorted({k for i in part for o in layers[i].options for k in o.kernels})
        have = (np.arange(1 << len(kernels))[:, None] >> np.arange(len(kernels)) & 1).astype(bool)
        total = have @ np.array([code_bytes(k) for k in kernels], np.float64)
        best = []
        for i in part:
            bytes_ = np.empty((len(layers[i].options), len(have)))
            for k, option in enumerate(layers[i].options):
                needed = [kernels.index(kernel) for kernel in option.kernels]
                bytes_[k] = np.where(have[:, needed].all(axis=1), option.flash_bytes, np.inf)
            best.append(bytes_.argmin(axis=0))
            total += bytes_.min(axis=0)
        at = int(total.argmin())
        chosen |= {i: layers[i].options[int(b[at])] for i, b in zip(part, best, strict=True)}
    return [chosen[i] for i in range(len(layers))]


def _is_weights(graph: Graph, t: Tensor) -> bool:
    """Whether a tensor is int8 weights and nothing else."""
    users = graph.consumers(t.name)
    alone = all(n.op.input_names[1:2] == ("weights",) and _places(n, t) == [1] for n in users)
    return t.is_const and t.dtype == "int8" and bool(users) and alone and t.name not in graph.outputs


def _places(node: Node, t: Tensor) -> list[int]:
    return [i for i, name in enumerate(node.inputs) if name == t.name]


def _option(graph: Graph, users: Sequence[Node], tensors: Sequence[str], name: str) -> Option | None:
    """None where the encoding cannot hold the weights, or a layer has no kernel for it."""
    first = graph.tensors[tensors[0]]
    if name and not _possible(name, users, first):
        return None
    changed = {n: replace(graph.tensors[n], encoding=name) for n in tensors}
    stored = replace(graph, tensors={**graph.tensors, **changed})
    if any(n.op.check(stored.ins(n), stored.outs(n)) for n in users):
        return None
    calls = [call for n in users for call in _calls(n, stored)]
    arrays = {a.data.tobytes() for c in calls for a in c.args if isinstance(a, Const) and a.weights}
    flash = sum(map(len, arrays)) if arrays else first.nbytes
    ram = max(sum(s.nbytes for s in c.scratches) for c in calls)
    return Option(name, flash, ram, frozenset(c.kernel for c in calls))


def _possible(name: str, users: Sequence[Node], weights: Tensor) -> bool:
    kernels = assets.root() / "runtime_c" / "kernels" / "c"
    there = all((kernels / f"{n.op.name}_{name}.c").is_file() for n in users)
    as_it_is = name == encoding_of(replace(weights, encoding=""))
    return there and not as_it_is and encode(name, matrix(arr(weights.data))) is not None


def _calls(node: Node, graph: Graph) -> tuple[Call, ...]:
    calls = node.op.lower(node, graph)
    return calls if isinstance(calls, tuple) else (calls,)


def _independent(layers: Sequence[Layer]) -> list[list[int]]:
    """The layers in groups that share no kernel."""
    groups: list[tuple[set[str], list[int]]] = []
    for i, layer in enumerate(layers):
        kernels = {k for o in layer.options for k in o.kernels}
        met = [g for g in groups if g[0] & kernels]
        groups = [g for g in groups if not g[0] & kernels]
        groups.append((kernels.union(*(g[0] for g in met)), sorted([i, *(k for g in met for k in g[1])])))
    return [members for _, members in groups]
