"""Chooses how flash holds the weights of each layer, by a stated preference.

A choice costs a weighted sum of flash, instructions and RAM, each relative to that of the weights as they are. The
cheapest choice is taken. `size` counts flash alone, `balanced` counts all three alike, and `speed` counts flash and RAM
a tenth: instructions are an estimate, and what an estimate saves is not worth any amount of flash.

Bytes of an encoding are exact: it is made, with its tables. A kernel's code counts once, however many layers use it.
Instructions are an estimate (kernels/costs.py), RAM is by how much the arena has to grow. Every set of choices is
compared, so the one that is taken has the least sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from .. import kernels, targets
from ..errors import DataError
from ..graph import Graph, Node, Preference, Tensor, equal_constants
from ..kernels import costs
from ..kernels.base import Kernel
from ..kernels.costs import CORE, cost
from ..kernels.encodings import encode, encoding_of, matrix, names
from ..ops.base import Buf, Call, Const, arr
from ..plan.arena import alive, lower_bound
from ..plan.memory import overlapping
from ..plan.storage import groups
from ..targets import Target
from .calls import first_output, with_calls

PREFERENCES: tuple[Preference, ...] = get_args(Preference)
TIE = 1e-6
FACTORS: dict[Preference, tuple[float, float, float]] = {
    "size": (1.0, TIE, TIE),
    "balanced": (1.0, 1.0, 1.0),
    "speed": (0.1, 1.0, 0.1),
}
"""Of flash, instructions and RAM."""


@dataclass(frozen=True)
class Option:
    """What the weights of a tensor take in one encoding, computed by one kernel, at all layers that use it.

    Attributes:
        encoding: "" for the weights as they are.
        flash_bytes: weights and tables, without code.
        ram_bytes: by how much the arena grows for scratch.
        instructions: of the layers, an inference; estimated.
        kernels: the stems of the kernels that run it.
        kernel: what makes the calls.
    """

    encoding: str
    flash_bytes: int
    ram_bytes: int
    instructions: int
    kernels: frozenset[str]
    kernel: Kernel | None = None


@dataclass(frozen=True)
class Layer:
    """Weights to be stored: the tensors that hold them (equal ones are stored once), the layers that use them, the ways
    to store them; the first is what is taken without a preference."""

    tensors: tuple[str, ...]
    nodes: tuple[str, ...]
    options: tuple[Option, ...]


def choose(graph: Graph, preference: Preference, target: Target) -> tuple[Graph, dict[str, Kernel]]:
    """A quantized graph with the encoding of each weight tensor, and by the first output of a node the kernel that was
    chosen for it. `dense` leaves all as it is, and the choice of kernels to the target's order.

    Raises DataError for an unknown preference.
    """
    if preference not in PREFERENCES:
        raise DataError("weights", f"is {preference!r}", ", ".join(PREFERENCES))
    if preference == "dense":
        return graph, {}
    layers = options(graph, target)
    tensors, chosen = dict(graph.tensors), dict[str, Kernel]()
    for layer, option in zip(layers, best(layers, preference, ram_bytes(graph, target), target.name), strict=True):
        tensors |= {name: replace(tensors[name], encoding=option.encoding) for name in layer.tensors}
        users = (n for n in graph.nodes if not set(layer.tensors).isdisjoint(n.inputs))
        chosen |= {first_output(n): option.kernel for n in users if option.kernel is not None}
    return replace(graph, tensors=tensors), chosen


def choose_encodings(graph: Graph, preference: Preference, core: str = CORE) -> Graph:
    """The encodings of `choose` alone, for a graph that is kept in a file. `core`: a folder of targets/."""
    return choose(graph, preference, targets.load(core))[0]


def options(graph: Graph, target: Target) -> list[Layer]:
    """All choices: each int8 tensor that serves as weights only, in each encoding for which all of its layers have a
    kernel on the target."""
    same, equal = equal_constants(graph), dict[tuple[int, str], list[str]]()
    for name in dict.fromkeys(name for n in graph.nodes for name in n.inputs if name in same):
        t = graph.tensors[name]
        if _is_weights(graph, t):
            equal.setdefault((t.shape[0], same[name]), []).append(name)
    room = _room(graph, target) if equal else {}
    at = {id(n): i for i, n in enumerate(graph.nodes)}
    found = []
    for tensors in equal.values():
        users = sorted({id(n): n for t in tensors for n in graph.consumers(t)}.values(), key=lambda n: at[id(n)])
        every = [o for name in ("", *names()) for o in _options(graph, users, tensors, name, room, target)]
        found.append(Layer(tuple(tensors), tuple(n.name for n in users), tuple(every)))
    return [layer for layer in found if len(layer.options) > 1]


def best(layers: Sequence[Layer], preference: Preference, ram: int, core: str = CORE) -> list[Option]:
    """An option for each layer. `ram`: bytes that the model takes with the weights as they are."""
    if preference == "dense":
        return [layer.options[0] for layer in layers]
    dense = [layer.options[0] for layer in layers]
    code = {kernel: cost["code"] for kernel, cost in costs(core).items()}
    whole = (
        sum(o.flash_bytes for o in dense) + sum(code[k] for k in {k for o in dense for k in o.kernels}),
        sum(o.instructions for o in dense),
        ram,
    )
    flash, time, memory = (factor / max(1, all_) for factor, all_ in zip(FACTORS[preference], whole, strict=True))
    chosen: dict[int, Option] = {}
    for part in _independent(layers):
        kernels = sorted({k for i in part for o in layers[i].options for k in o.kernels})
        have = (np.arange(1 << len(kernels))[:, None] >> np.arange(len(kernels)) & 1).astype(bool)
        total = have @ np.array([flash * code[k] for k in kernels], np.float64)
        choices = []
        for i in part:
            each = np.empty((len(layers[i].options), len(have)))
            for k, o in enumerate(layers[i].options):
                needed = [kernels.index(kernel) for kernel in o.kernels]
                cost = flash * o.flash_bytes + time * o.instructions + memory * o.ram_bytes
                each[k] = np.where(have[:, needed].all(axis=1), cost, np.inf)
            choices.append(each.argmin(axis=0))
            total += each.min(axis=0)
        at = int(total.argmin())
        chosen |= {i: layers[i].options[int(c[at])] for i, c in zip(part, choices, strict=True)}
    return [chosen[i] for i in range(len(layers))]


def ram_bytes(graph: Graph, target: Target) -> int:
    """The arena, its lower bound, and the caller's inputs and outputs."""
    graph = with_calls(graph, target)
    shared = groups(graph, overlapping(graph))[0]
    outside = sum(g.bytes for g in shared if g.place is not None)
    return lower_bound([g for g in shared if g.place is None]) + outside


def _room(graph: Graph, target: Target) -> dict[str, tuple[int, int]]:
    """For each node, by its first output, the bytes of the arena that are free while it runs: scratch that fits there
    does not make the arena grow. The second number is for kernels whose output cannot lie on their input."""
    graph = with_calls(graph, target)
    lagging = overlapping(graph)
    needed = _needed(graph, lagging)
    most = max(needed, default=0)
    apart = {i: _needed(graph, lagging - {i})[i] for i in lagging}
    return {
        first_output(node): (most - used, most - apart.get(i, used))
        for i, (node, used) in enumerate(zip(graph.nodes, needed, strict=True))
    }


def _needed(graph: Graph, lagging: frozenset[int]) -> list[int]:
    return alive([g for g in groups(graph, lagging)[0] if g.place is None], len(graph.nodes))[1:]


def _is_weights(graph: Graph, t: Tensor) -> bool:
    """Whether a tensor is int8 weights and nothing else."""
    users = graph.consumers(t.name)
    alone = all(n.op.weighted and _places(n, t) == [1] for n in users)
    return t.is_const and t.dtype == "int8" and bool(users) and alone and t.name not in graph.outputs


def _places(node: Node, t: Tensor) -> list[int]:
    return [i for i, name in enumerate(node.inputs) if name == t.name]


def _options(
    graph: Graph,
    users: Sequence[Node],
    tensors: Sequence[str],
    name: str,
    room: Mapping[str, tuple[int, int]],
    target: Target,
) -> list[Option]:
    """One for each kernel that runs all the layers with this encoding; none where it cannot hold the weights."""
    first = graph.tensors[tensors[0]]
    if name and (name == encoding_of(replace(first, encoding="")) or encode(name, matrix(arr(first.data))) is None):
        return []
    changed = {n: replace(graph.tensors[n], encoding=name) for n in tensors}
    around = {t: graph.tensors[t] for n in users for t in (*n.inputs, *n.outputs) if t}
    stored = replace(graph, nodes=tuple(users), tensors={**around, **changed})
    if any(n.op.check(stored.ins(n), stored.outs(n)) for n in users):
        return []
    fitting = [kernels.fitting(n, stored, target) for n in users]
    made = [
        _option(stored, kernel, name, first, room, target) for kernel in fitting[0] if all(kernel in f for f in fitting)
    ]
    return [option for option in made if option is not None]


def _option(
    stored: Graph, kernel: Kernel, name: str, first: Tensor, room: Mapping[str, tuple[int, int]], target: Target
) -> Option | None:
    """None where nobody has measured the kernel."""
    calls = [(n, call) for n in stored.nodes for call in kernel.calls(n, stored, target)]
    arrays = {a.data.tobytes() for _, c in calls for a in c.args if isinstance(a, Const) and a.weights}
    flash = (sum(map(len, arrays)) if arrays else first.nbytes) - sum(_replaced(n, c, stored) for n, c in calls)
    ram = max(0, *(sum(s.nbytes for s in c.scratches) - room[first_output(n)][not c.overlaps] for n, c in calls))
    stems = frozenset(c.kernel for _, c in calls)
    each = costs(target.name)
    if not stems <= each.keys():
        return None
    rows = matrix(arr(first.data))
    instructions = sum(cost(c, rows, each[c.kernel]).instructions for _, c in calls)
    return Option(name, flash, ram, round(instructions), stems, kernel)


def _replaced(node: Node, call: Call, graph: Graph) -> int:
    """Bytes of the bias, where the call has put it into its own constants: they would be stored anyway."""
    passed = {a.tensor for a in call.args if isinstance(a, Buf)}
    return sum(graph.tensors[name].nbytes for name in node.inputs[2:] if name and name not in passed)


def _independent(layers: Sequence[Layer]) -> list[list[int]]:
    """The layers in groups that share no kernel."""
    groups: list[tuple[set[str], list[int]]] = []
    for i, layer in enumerate(layers):
        kernels = {k for o in layer.options for k in o.kernels}
        met = [g for g in groups if g[0] & kernels]
        groups = [g for g in groups if not g[0] & kernels]
        groups.append((kernels.union(*(g[0] for g in met)), sorted([i, *(k for g in met for k in g[1])])))
    return [members for _, members in groups]
