"""A float Graph whose tensors are marked with their quantization -> a quantized Graph. For models that come quantized.

A float32 tensor is marked by its `quant`: its values are on that grid (QDQ models of ONNX). A copy that is marked (a
RESHAPE to the same shape) rounds for its own readers alone. The integers of constants are recovered exactly; what lies
between two marks is done in integers, with a QUANTIZE wherever an operator needs tensors alike and the marks say
otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from ..dead_code import dead_code
from ..errors import UnsupportedError
from ..executable import require_executable
from ..floats.simplify import simplify
from ..graph import Graph, Node, Quant, Tensor, verify
from ..ops.quantize import Quantize
from .post_training import quantized, with_constants
from .scales import affine, values_of

_BOUNDED = {"relu6": affine(0.0, 6.0), "relu_n1_to_1": affine(-1.0, 1.0)}
_TWO_WAYS = (
    "it is read through a QuantizeLinear, and also as it is or through one with another scale or zero point;"
    " give all its readers the same QuantizeLinear"
)


def is_marked(graph: Graph) -> bool:
    """Whether any tensor that is computed in floats says how it is quantized."""
    return any(t.quant is not None and t.dtype == "float32" for t in graph.tensors.values() if not t.is_const)


def quantize_marked(graph: Graph) -> Graph:
    """Integers throughout; a graph of integers stays as it is.

    Returns: a Graph verified as "quantized" whose every node passes its `check`; inputs and outputs are int8.
    Raises: UnsupportedError listing every tensor whose quantization is neither given nor follows from others, or that
        is read in two ways, and all weights that int8 cannot hold; or all nodes that cannot be executed in integers.
    """
    graph = dead_code(graph)
    if not any(t.dtype == "float32" for t in graph.tensors.values()):
        return require_executable(verify(graph, "quantized"))
    mixed = _mixed(graph)
    graph = simplify(graph)
    quants = _spread(graph)
    problems = _problems(graph, quants, mixed)
    if problems:
        remedy = "Quantize the whole model (activations and weights, int8 or uint8), or calibrate the float model here"
        raise UnsupportedError(graph.name, problems, remedy)
    tensors = {n: quantized(t, quants[n]) for n, t in graph.tensors.items() if n in quants and not t.is_const}
    nodes = [made for node in graph.nodes for made in _integer(node, graph, tensors)]
    return require_executable(verify(replace(graph, tensors=tensors).with_nodes(nodes), "quantized"))


def is_copy(node: Node, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a node rounds, for its readers, a tensor that is on no grid."""
    if not node.op.is_view:
        return False
    source, out = tensors[node.inputs[0]], tensors[node.outputs[0]]
    return source.shape == out.shape and source.quant is None and out.quant is not None


def _mixed(graph: Graph) -> set[str]:
    """Tensors that are rounded for some of their readers, while others read them as they are or on another grid.

    int8 can hold one of these only. (A tensor that was merely moved lies on the grid of its source: it is not mixed.)
    """
    grids = {n: t.quant for n, t in graph.tensors.items() if not t.is_const}
    for node in graph.nodes:
        sources = {grids.get(n) for n in values_of(node)}
        if node.op.picks and len(sources) == 1:
            quant = sources.pop()
            grids.update((n, quant) for n in node.outputs if grids[n] is None)
    return {n.inputs[0] for n in graph.nodes if is_copy(n, graph.tensors) and grids[n.inputs[0]] is None}


def _spread(graph: Graph) -> dict[str, Quant]:
    """The quantization of every activation for which it is given or follows."""
    known = {n: t.quant for n, t in graph.tensors.items() if t.quant is not None and not t.is_const}
    for node in graph.nodes:
        quant = node.op.output_quants.get("int8") or _BOUNDED.get(node.op.clamp)
        if quant is not None and not node.op.shares_quant:
            known.setdefault(node.outputs[0], quant)
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    # Forwards, then backwards: an operator that moves elements keeps their quantization, and a mean stays in its range.
    before = -1
    while before != len(known):
        before = len(known)
        for node in graph.nodes:
            if node.op.stays_in_range:
                sources = [known[n] for n in values_of(node) if n in known]
                if sources and len(sources) == len([n for n in values_of(node) if not graph.tensors[n].is_const]):
                    for name in node.outputs:
                        known.setdefault(name, _union(sources))
        for node in reversed(graph.nodes):
            for name in values_of(node) if node.outputs[0] in known else ():
                if _clamped_alike(name, known[node.outputs[0]], readers[name], known, graph):
                    known.setdefault(name, known[node.outputs[0]])
    return {n: q for n, q in known.items() if not graph.tensors[n].is_const}


def _clamped_alike(name: str, quant: Quant, readers: list[Node], known: Mapping[str, Quant], graph: Graph) -> bool:
    """Whether rounding a tensor to the grid of `quant` changes nothing that its readers give.

    A graph input lies on one grid: those of its readers that keep its numbers must agree on it.
    """
    if name in graph.inputs and any(n.op.picks == "all" for n in readers):
        return all(known.get(n.outputs[0], quant) == quant for n in readers if n.op.picks == "all")
    clamping = all(n.op.clamps_alike and known.get(n.outputs[0]) == quant for n in readers)
    return clamping and name not in graph.outputs


def _union(quants: list[Quant]) -> Quant:
    """The one quantization there is, or one that covers all the ranges."""
    if len(set(quants)) == 1:
        return quants[0]
    ends = [q.scale[0] * (v - q.zero_point[0]) for q in quants for v in (-128, 127)]
    return affine(min(ends), max(ends))


def _problems(graph: Graph, quants: Mapping[str, Quant], mixed: Collection[str]) -> list[str]:
    computed = [*graph.inputs, *(n for node in graph.nodes for n in node.outputs)]
    found = [f"{n}: {_TWO_WAYS}" for n in sorted(mixed)]
    unknown = [n for n in computed if n not in quants and n not in mixed]
    found += [f"{n}: no QuantizeLinear says how it is quantized" for n in unknown]
    for node in graph.nodes:
        if node.op.weighted:
            weights = graph.tensors[node.inputs[1]]
            reason = _unfit(weights, node.op.out_axis)
            if reason:
                found.append(f"{node.op.name} ({node.name}): {reason}")
    return found


def _unfit(weights: Tensor, axis: int) -> str:
    """Why weights have no int8 numbers at one scale a channel and no zero point, or an empty string."""
    q = weights.quant
    if weights.data is None or q is None:
        return "its weights are not quantized constants"
    if not q.per_tensor and q.axis != axis:
        return "its weights are quantized along another dimension than their output channels"
    scale = np.array(q.scale, np.float64)
    along = scale.reshape([-1 if d == axis else 1 for d in range(weights.data.ndim)]) if scale.size > 1 else scale
    integers = np.round(weights.data / along)
    if integers.size and (integers.min() < -128 or integers.max() > 127):
        return "its weights have a zero point that puts them outside int8; quantize weights symmetrically"
    return ""


def _integer(node: Node, graph: Graph, tensors: dict[str, Tensor]) -> list[Node]:
    """The node in integers, with a QUANTIZE before or after it where the marks ask for one."""
    if node.op.parameters:
        return [with_constants(node, graph, tensors)]
    # Several inputs that must be alike are brought to the output's quantization.
    gathers = node.op.shares_quant and (node.op.repeats or len(node.op.input_names) > 1)
    before: list[Node] = []
    out = tensors[node.outputs[0]]
    ins: list[str] = []
    for k, name in enumerate(node.inputs):
        t = graph.tensors[name] if name else None
        if t is not None and t.is_const and name in values_of(node):
            quant = out.quant if node.op.shares_quant else t.quant
            name = f"{name}:{node.name}:{k}"
            assert t.data is not None
            values = affine(float(t.data.min()), float(t.data.max())) if quant is None else quant
            tensors[name] = replace(quantized(t, values), name=name)
        elif gathers and name and tensors[name].quant != out.quant:
            copy = f"{name}:{node.name}:{k}"
            tensors[copy] = replace(tensors[name], name=copy, quant=out.quant)
            before.append(Node(copy, Quantize(), (name,), (copy,)))
            name = copy
        ins.append(name)
    node = replace(node, inputs=tuple(ins))
    if node.op.is_view and tensors[ins[0]].shape == out.shape and tensors[ins[0]].quant != out.quant:
        return [Node(node.name, Quantize(), node.inputs, node.outputs)]
    fixed = node.op.output_quants.get("int8")
    wanted = fixed or (tensors[ins[0]].quant if node.op.shares_quant and not gathers else None)
    after: list[Node] = []
    outputs: list[str] = []
    for name in node.outputs:
        t = tensors[name]
        if wanted is not None and t.quant != wanted:
            raw = f"{name}:raw"
            tensors[raw] = replace(t, name=raw, quant=wanted)
            after.append(Node(name, Quantize(), (raw,), (name,)))
            name = raw
        outputs.append(name)
    return [*before, replace(node, outputs=tuple(outputs)), *after]
