"""What exporters spell out because an older operator set lacks the operator: written as the one node that it is.

GELU by the error function or by tanh, SiLU as x * sigmoid(x), layer normalization from its mean and variance, and group
normalization from an instance normalization. A pattern counts
only where nothing else reads what lies within it; its parts are then dropped. Quantized models have QuantizeLinear
between the parts and stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..graph import Array
from .onnx_file import OnnxModel, OnnxNode

DOMAIN = "intaglio"
"""Of the nodes that are made here and are no operators of ONNX: Silu and GroupNorm."""
NEAR = 1e-4
"""Exporters write constants in float32, and some in a few digits."""
MAX_PARTS = 16


@dataclass(frozen=True, eq=False)
class _Reader:
    """A model's nodes by what they write, and how often each value is read."""

    constants: dict[str, Array]
    made: dict[str, OnnxNode]
    readers: dict[str, list[OnnxNode]]
    outputs: frozenset[str]

    def node(self, name: str, *ops: str) -> OnnxNode | None:
        """The node that computes `name`, if it is one of `ops`."""
        found = self.made.get(name)
        return found if found is not None and found.op in ops and not found.domain else None

    def inner(self, name: str) -> bool:
        """Whether one node alone reads a value."""
        return len(self.readers.get(name, ())) == 1 and name not in self.outputs

    def number(self, name: str) -> float | None:
        """The only element of a constant."""
        found = self.constants.get(name)
        return float(found.item()) if found is not None and found.size == 1 and found.dtype.kind in "iuf" else None


@dataclass(frozen=True, eq=False)
class _Match:
    """One node that stands for several: `last` is the one that wrote the result, `parts` are all of them."""

    node: OnnxNode
    parts: list[OnnxNode]


def with_idioms(model: OnnxModel) -> OnnxModel:
    """The model with each idiom as one node, in the place of the last of its parts."""
    matches: dict[int, _Match] = {}
    dropped: set[int] = set()
    reader = _reader(model)
    for node in model.nodes:
        for rule in RULES:
            try:
                found = rule(reader, node)
            except IndexError:
                continue  # a node without the inputs or outputs of its operator: refused by name where it is translated
            if found is None or len(found.parts) > MAX_PARTS or any(id(p) in dropped for p in found.parts):
                continue
            last = next((p for p in found.parts if p.outputs == found.node.outputs), None)
            if last is not None and _closed(reader, found):
                matches[id(last)] = found
                dropped.update(id(p) for p in found.parts)
    nodes = tuple(matches[id(n)].node if id(n) in matches else n for n in model.nodes
                  if id(n) not in dropped or id(n) in matches)  # fmt: skip
    return replace(model, nodes=nodes) if matches else model


def _reader(model: OnnxModel) -> _Reader:
    constants = {k: v for k, v in model.constants.items() if isinstance(v, np.ndarray)}
    made: dict[str, OnnxNode] = {}
    readers: dict[str, list[OnnxNode]] = {}
    for node in model.nodes:
        value = node.attrs.get("value")
        if node.op == "Constant" and not node.domain and isinstance(value, np.ndarray):
            constants.update(dict.fromkeys(node.outputs[:1], value))
        made.update(dict.fromkeys(node.outputs, node))
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return _Reader(constants, made, readers, frozenset(model.outputs))


def _closed(r: _Reader, match: _Match) -> bool:
    """Whether nothing outside reads what the parts compute, but for the result."""
    inside = {id(p) for p in match.parts}
    inner = [o for p in match.parts for o in p.outputs if o and o not in match.node.outputs]
    return not any(o in r.outputs or any(id(n) not in inside for n in r.readers.get(o, ())) for o in inner)


def _operands(r: _Reader, node: OnnxNode) -> tuple[str, float] | None:
    """(the computed input, the number) of a node of two inputs, in either order."""
    if len(node.inputs) == 2:
        for a, b in (node.inputs, node.inputs[::-1]):
            number = r.number(b)
            if number is not None and a not in r.constants:
                return a, number
    return None


# ---- activations -------------------------------------------------------------------------------------------------


def _gelu(r: _Reader, erf: OnnxNode) -> _Match | None:
    """x * 0.5 * (1 + erf(x / sqrt(2))), its factors in any order."""
    if erf.op != "Erf" or erf.domain or len(erf.inputs) != 1:
        return None
    scaled = r.node(erf.inputs[0], "Div", "Mul")
    by = None if scaled is None else _operands(r, scaled)
    if scaled is None or by is None or (scaled.op == "Div" and scaled.inputs[0] != by[0]):
        return None
    x, number = by
    if abs((1 / number if scaled.op == "Div" and number else number) - math.sqrt(0.5)) > NEAR:
        return None
    add = _only_reader(r, erf.outputs[0], "Add")
    plus = None if add is None else _operands(r, add)
    if add is None or plus is None or plus[1] != 1:
        return None
    parts = [scaled, erf, add]
    product = _product(r, add, x, 0.5, parts)
    return None if product is None else _Match(_named(product, "Gelu", "", (x,)), parts)


def _product(r: _Reader, start: OnnxNode, x: str, factor: float, parts: list[OnnxNode]) -> OnnxNode | None:
    """The node at which result of `start` has been multiplied by x and `factor`; its way there goes to `parts`."""
    at, number, seen = start, 1.0, 0
    for _ in range(4):
        if seen == 1 and abs(number - factor) < NEAR:
            return at
        node = _only_reader(r, at.outputs[0], "Mul", "Div")
        if node is None or len(node.inputs) != 2 or (node.op == "Div" and node.inputs[0] != at.outputs[0]):
            return None
        [other] = [i for i in node.inputs if i != at.outputs[0]] or [""]
        parts.append(node)
        known = r.number(other)
        if known is not None:
            number *= known if node.op == "Mul" else 1 / known if known else 0.0
        elif other == x and node.op == "Mul":
            seen += 1
        else:
            # x may have been multiplied by a number on its own.
            before = r.node(other, "Mul", "Div") if node.op == "Mul" else None
            by = None if before is None else _operands(r, before)
            if before is None or by is None or by[0] != x or (before.op == "Div" and before.inputs[0] != x):
                return None
            number *= by[1] if before.op == "Mul" else 1 / by[1] if by[1] else 0.0
            seen += 1
            parts.append(before)
        at = node
    return None


def _gelu_tanh(r: _Reader, tanh: OnnxNode) -> _Match | None:
    """x * 0.5 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))."""
    if tanh.op != "Tanh" or tanh.domain or len(tanh.inputs) != 1:
        return None
    scaled = r.node(tanh.inputs[0], "Mul")
    by = None if scaled is None else _operands(r, scaled)
    total = None if by is None or abs(by[1] - math.sqrt(2 / math.pi)) > NEAR else r.node(by[0], "Add")
    if scaled is None or total is None or len(total.inputs) != 2:
        return None
    for x, other in (total.inputs, total.inputs[::-1]):
        term = r.node(other, "Mul")
        times = None if term is None else _operands(r, term)
        cube = None if term is None or times is None or abs(times[1] - 0.044715) > NEAR else _cube(r, times[0], x)
        add = _only_reader(r, tanh.outputs[0], "Add")
        plus = None if add is None else _operands(r, add)
        if term is None or cube is None or add is None or plus is None or plus[1] != 1:
            continue
        parts = [*cube, term, total, scaled, tanh, add]
        product = _product(r, add, x, 0.5, parts)
        if product is not None:
            made = _named(product, "Gelu", "", (x,))
            return _Match(replace(made, attrs={"approximate": "tanh"}), parts)
    return None


def _cube(r: _Reader, name: str, x: str) -> list[OnnxNode] | None:
    """The nodes that compute x^3: Pow, or two products."""
    power = r.node(name, "Pow")
    if power is not None:
        return [power] if len(power.inputs) == 2 and power.inputs[0] == x and r.number(power.inputs[1]) == 3 else None
    outer = r.node(name, "Mul")
    others = [] if outer is None else [i for i in outer.inputs if i != x]
    inner = r.node(others[0], "Mul") if len(others) == 1 else None
    return [outer, inner] if outer is not None and inner is not None and inner.inputs == (x, x) else None


def _silu(r: _Reader, sigmoid: OnnxNode) -> _Match | None:
    """x * sigmoid(x)."""
    if sigmoid.op != "Sigmoid" or sigmoid.domain or len(sigmoid.inputs) != 1 or not sigmoid.outputs:
        return None
    product = _only_reader(r, sigmoid.outputs[0], "Mul")
    if product is None or sorted(product.inputs) != sorted((sigmoid.inputs[0], sigmoid.outputs[0])):
        return None
    return _Match(_named(product, "Silu", DOMAIN, (sigmoid.inputs[0],)), [sigmoid, product])


# ---- layer normalization -----------------------------------------------------------------------------------------


def _layer_norm(r: _Reader, root: OnnxNode) -> _Match | None:
    """d = x - mean(x); d / sqrt(mean(d * d) + epsilon), and what follows as scale and offset."""
    if root.op != "Sqrt" or root.domain or len(root.inputs) != 1:
        return None
    add = r.node(root.inputs[0], "Add")
    plus = None if add is None else _operands(r, add)
    if add is None or plus is None or not 0 < plus[1] < 1:
        return None
    variance = r.node(plus[0], "ReduceMean")
    squared = None if variance is None else r.node(variance.inputs[0], "Pow", "Mul")
    if variance is None or squared is None or len(squared.inputs) != 2:
        return None
    distance = squared.inputs[0]
    if squared.inputs[1] != distance and (squared.op == "Mul" or r.number(squared.inputs[1]) != 2):
        return None
    sub = r.node(distance, "Sub")
    if sub is None or len(sub.inputs) != 2:
        return None
    mean = r.node(sub.inputs[1], "ReduceMean")
    axes = None if mean is None else _axes(r, mean)
    quotient = _only_reader(r, root.outputs[0], "Div")
    if mean is None or quotient is None or axes is None or axes != _axes(r, variance):
        return None
    numerator = r.node(quotient.inputs[0], "Sub")
    if mean.inputs[0] != sub.inputs[0] or numerator is None or numerator.inputs != sub.inputs:
        return None
    parts = [*dict.fromkeys((mean, sub, numerator, squared, variance, add, root, quotient))]
    vectors, last = _affine(r, quotient, len(axes), parts)
    node = _named(last, "LayerNormalization", "", (sub.inputs[0], *vectors))
    return _Match(replace(node, attrs={"axis": min(axes), "epsilon": plus[1]}), parts)


def _group_norm(r: _Reader, norm: OnnxNode) -> _Match | None:
    """Groups of channels as the channels of an instance normalization, between two Reshapes."""
    if norm.op != "InstanceNormalization" or norm.domain or len(norm.inputs) != 3:
        return None
    scale, offset = (r.constants.get(i) for i in norm.inputs[1:])
    before, after = r.node(norm.inputs[0], "Reshape"), _only_reader(r, norm.outputs[0], "Reshape")
    if before is None or after is None or len(before.inputs) != 2 or after.inputs[0] != norm.outputs[0]:
        return None
    shape = r.constants.get(before.inputs[1])
    if shape is None or shape.ravel().tolist()[:1] not in ([0], [1]) or shape.size != 3 or scale is None:
        return None
    if offset is None or (scale != 1).any() or (offset != 0).any():
        return None
    parts = [before, norm, after]
    vectors, last = _affine(r, after, None, parts)
    made = _named(last, "GroupNorm", DOMAIN, (before.inputs[0], after.inputs[1], *vectors))
    # 0 keeps the first dimension as it is; 1 is wrong of any other size, which is known when the node is translated.
    attrs = {**norm.attrs, "num_groups": int(scale.size), "first": int(shape.ravel()[0])}
    return _Match(replace(made, attrs=attrs), parts)


def _axes(r: _Reader, node: OnnxNode) -> list[int] | None:
    """The axes of a ReduceMean that keeps dimensions: the last ones, counted from the end; None for others."""
    given = node.attrs.get("axes")
    if given is None and len(node.inputs) == 2 and node.inputs[1] in r.constants:
        given = r.constants[node.inputs[1]].ravel().tolist()
    if not isinstance(given, list) or not given or node.attrs.get("keepdims", 1) != 1:
        return None
    axes = sorted(int(a) for a in given)
    return axes if axes == list(range(-len(axes), 0)) else None


def _affine(r: _Reader, node: OnnxNode, rank: int | None, parts: list[OnnxNode]) -> tuple[tuple[str, ...], OnnxNode]:
    """Names of the constants that the result is multiplied by and that are added, as far as there are any: of `rank`
    dimensions, or where that is None as many numbers as its first dimension has, as for channels."""
    vectors: list[str] = []
    for op in ("Mul", "Add"):
        after = _only_reader(r, node.outputs[0], op)
        others = [] if after is None else [i for i in after.inputs if i != node.outputs[0]]
        known = r.constants.get(others[0]) if len(others) == 1 else None
        if after is None or known is None:
            break
        if known.ndim != rank if rank is not None else known.ndim < 2 or known.size not in known.shape[:1]:
            break
        vectors.append(others[0])
        parts.append(after)
        node = after
    return tuple(vectors), node


def _only_reader(r: _Reader, name: str, *ops: str) -> OnnxNode | None:
    if not r.inner(name):
        return None
    found = r.readers[name][0]
    return found if found.op in ops and not found.domain and len(found.outputs) == 1 else None


def _named(last: OnnxNode, op: str, domain: str, inputs: tuple[str, ...]) -> OnnxNode:
    return OnnxNode(last.name, op, domain, inputs, last.outputs, {})


RULES: tuple[Callable[[_Reader, OnnxNode], _Match | None], ...] = (_gelu, _gelu_tanh, _silu, _layer_norm, _group_norm)
