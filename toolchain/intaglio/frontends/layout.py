"""Where the dimensions of a torch value lie in memory: how NCHW becomes NHWC without moving a byte.

Shared by the front ends whose models are NCHW: PyTorch (torch.py) and ONNX (onnx.py); "the module" is either's model.
A `Value` remembers the shape that the module sees and the order in which its dimensions are stored. Permuting changes
only that order; reshaping is free wherever the dimensions it merges lie one behind the other. Data is moved (a real
TRANSPOSE) only where an operator needs an order that the value does not have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..graph import Array, Graph, Node, Quant, Tensor, as_array, constant
from ..ops.base import Op
from ..ops.reshape import Reshape
from ..ops.transpose import Transpose

Shape = tuple[int, ...]
NHWC: Shape = (0, 2, 3, 1)


@dataclass(frozen=True)
class Value:
    """A tensor of the graph as the module sees it: memory dimension i is the module's dimension `perm[i]`.

    `flat_of` marks the flattening of a value (shape, perm) whose elements still lie in that value's order; `shape` is
    then (1, n). A Linear takes it as it is and permutes its weights instead.
    """

    name: str
    shape: Shape
    perm: Shape
    flat_of: tuple[Shape, Shape] | None = None

    @property
    def stored(self) -> Shape:
        """The shape in memory."""
        return tuple(self.shape[p] for p in self.perm)


@dataclass(frozen=True, eq=False)
class Const:
    """A parameter, a buffer, or what is computed from them alone: a torch tensor or NumPy array, and its name.

    `quant` says that the floats are scale * (q - zero point) for int8 numbers q: of a model that is quantized already.
    """

    name: str
    value: Any
    quant: Quant | None = None

    @property
    def array(self) -> Array:
        return as_array(self.value)

    def permute(self, *dims: int) -> Const:
        """Dimension i of the result is dimension `dims[i]` of this constant."""
        quant = self.quant
        if quant is not None and quant.axis is not None:
            quant = replace(quant, axis=dims.index(quant.axis))
        return Const(self.name, self.array.transpose(dims), quant)


class Builder:
    """The graph while it is being built: tensors and nodes so far."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.numbered: dict[str, int] = {}
        """The last number that `fresh` gave, by name: thousands of values may be called alike."""

    def fresh(self, base: str) -> str:
        """`base`, or `base` with a number where it is taken."""
        name = base
        while name in self.tensors:
            self.numbered[base] = self.numbered.get(base, 1) + 1
            name = f"{base}_{self.numbered[base]}"
        return name

    def input(self, base: str, shape: Shape) -> Value:
        """A graph input; four dimensions are stored NHWC."""
        value = Value(self.fresh(base), shape, NHWC if len(shape) == 4 else identity(shape))
        self.tensors[value.name] = Tensor(value.name, value.stored, "float32")
        return value

    def const(self, c: Const) -> str:
        """A constant that is already in memory order, as float32; returns its tensor's name."""
        name = self.fresh(c.name)
        self.tensors[name] = constant(name, np.array(c.array, np.float32), c.quant)
        return name

    def node(self, base: str, op: Op, ins: Sequence[str]) -> list[str]:
        """Append a node; returns the names of its outputs. Raises GraphError when the inputs do not fit."""
        types = op.infer([self.tensors[n] if n else None for n in ins], [])
        names: list[str] = []
        for k, (shape, dtype) in enumerate(types):
            names.append(self.fresh(base if len(types) == 1 else f"{base}_{k}"))
            self.tensors[names[-1]] = Tensor(names[-1], tuple(shape), dtype)
        self.nodes.append(Node(names[0], op, tuple(ins), tuple(names)))
        return names

    def value(self, name: str, perm: Shape, flat_of: tuple[Shape, Shape] | None = None) -> Value:
        """The tensor `name`, whose memory dimension i is the module's dimension `perm[i]`, as the module sees it."""
        stored = self.tensors[name].shape
        return Value(name, tuple(stored[perm.index(d)] for d in range(len(perm))), perm, flat_of)

    def output(self, v: Value) -> Value:
        """A graph output: NHWC as it lies, or the module's own order; anything else would surprise."""
        v = self.settle(v)
        if v.perm != identity(v.shape) and v.perm != (NHWC if len(v.shape) == 4 else v.perm[:0]):
            v = self.arrange(v, identity(v.shape))
        return v

    def rename(self, old: str, new: str) -> None:
        """Call a tensor that a node writes `new`, which no tensor is called."""
        renamed = replace(self.tensors[old], name=new)
        self.tensors = {**{n: t for n, t in self.tensors.items() if n != old}, new: renamed}
        for k, node in enumerate(self.nodes):
            ins, outs = (tuple(new if n == old else n for n in names) for names in (node.inputs, node.outputs))
            self.nodes[k] = replace(node, name=new if node.name == old else node.name, inputs=ins, outputs=outs)

    def graph(self, name: str, inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
        """What has been built; its notes say how each input and output lies in memory."""
        ends = (("input", inputs), ("output", outputs))
        notes = tuple(f"{w} {v.name}: memory order {v.perm} of the module's {v.shape}" for w, vs in ends for v in vs)
        ins, outs = (tuple(v.name for v in vs) for vs in (inputs, outputs))
        return Graph(name, (), self.tensors, ins, outs, notes=notes).with_nodes(self.nodes)

    # ---- moving between layouts ---------------------------------------------------------------------------------

    def settle(self, v: Value) -> Value:
        """The same value without a pending flattening: its elements in the module's order."""
        if v.flat_of is None:
            return v
        shape, perm = v.flat_of
        stored = tuple(shape[p] for p in perm)
        [back] = self.node(f"{v.name}_unflat", Reshape(stored), [v.name])
        return self.reshape(self.arrange(Value(back, shape, perm), identity(shape)), v.shape)

    def arrange(self, v: Value, perm: Shape) -> Value:
        """The same value stored in the order `perm`; a TRANSPOSE only where elements change places."""
        v = self.settle(v)
        if v.perm == perm:
            return v
        if _order(v.shape, v.perm) == _order(v.shape, perm):
            [name] = self.node(f"{v.name}_view", Reshape(tuple(v.shape[p] for p in perm)), [v.name])
        else:
            op = Transpose(tuple(v.perm.index(p) for p in perm))
            [name] = self.node(f"{v.name}_transposed", op, [v.name])
        return replace(v, name=name, perm=perm)

    def permute(self, v: Value, dims: Sequence[int]) -> Value:
        """The module's permute: no node, only another order of names for the same dimensions."""
        v = self.settle(v)
        return replace(v, shape=tuple(v.shape[d] for d in dims), perm=tuple(dims.index(p) for p in v.perm))

    def reshape(self, v: Value, shape: Shape) -> Value:
        """The module's reshape, moving data only where merged dimensions are stored apart."""
        if v.shape == shape:
            return v
        if v.flat_of is not None and v.flat_of[0] == shape:
            return self._view(v, shape, v.flat_of[1])
        v = self.settle(v)
        groups = _groups(v.shape, shape)
        stored = _order(v.shape, v.perm)
        apart = [old for old, _ in groups if not _contiguous(old, stored)]
        if apart:
            if shape == (1, math.prod(v.shape)):
                [name] = self.node(f"{v.name}_flat", Reshape(shape), [v.name])
                return Value(name, shape, (0, 1), (v.shape, v.perm))
            v = self.arrange(v, _together(v, apart))
            stored = _order(v.shape, v.perm)
        groups.sort(key=lambda g: stored.index(g[0][0]))
        return self._view(v, shape, _perm_for(shape, [d for _, new in groups for d in new]))

    def _view(self, v: Value, shape: Shape, perm: Shape) -> Value:
        stored = tuple(shape[p] for p in perm)
        name = v.name
        if self.tensors[name].shape != stored:
            [name] = self.node(f"{v.name}_view", Reshape(stored), [v.name])
        return Value(name, shape, perm)

    def channels_last(self, v: Value, dim: int) -> Value:
        """The value with dimension `dim` of the module stored last."""
        v = self.settle(v)
        if v.perm[-1] == dim:
            return v
        if len(v.shape) == 4 and dim == 1:
            return self.arrange(v, NHWC)
        return self.arrange(v, (*(d for d in range(len(v.shape)) if d != dim), dim))

    def const_like(self, c: Const, v: Value) -> str:
        """A constant that broadcasts against `v` (of at least its rank), in v's order; returns its name."""
        array = c.array.reshape((1,) * (len(v.shape) - c.array.ndim) + c.array.shape)
        if v.flat_of is not None and array.shape[-1] > 1:
            shape, perm = v.flat_of
            array = array.reshape(shape).transpose(perm).reshape(1, -1)
        quant = c.quant if c.quant is not None and c.quant.per_tensor else None
        return self.const(Const(c.name, array.transpose(v.perm), quant))


def identity(shape: Sequence[int]) -> Shape:
    return tuple(range(len(shape)))


def _order(shape: Shape, perm: Shape) -> list[int]:
    """The dimensions longer than 1 in the order in which they are stored."""
    return [p for p in perm if shape[p] > 1]


def _groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """The smallest runs of old and new dimensions (those longer than 1) that hold the same number of elements."""
    a = [(d, n) for d, n in enumerate(old) if n > 1]
    b = [(d, n) for d, n in enumerate(new) if n > 1]
    groups: list[tuple[list[int], list[int]]] = []
    while a:
        left, right = [a[0]], [b[0]]
        a, b = a[1:], b[1:]
        while math.prod(n for _, n in left) != math.prod(n for _, n in right):
            if math.prod(n for _, n in left) < math.prod(n for _, n in right):
                left.append(a.pop(0))
            else:
                right.append(b.pop(0))
        groups.append(([d for d, _ in left], [d for d, _ in right]))
    return groups


def _contiguous(dims: Sequence[int], stored: Sequence[int]) -> bool:
    """Whether `dims` are stored one behind the other in this order."""
    at = stored.index(dims[0])
    return list(stored[at : at + len(dims)]) == list(dims)


def _together(v: Value, apart: Sequence[Sequence[int]]) -> Shape:
    """v's order changed so that each group of `apart` lies together, where the last of its dimensions lay."""
    stored = _order(v.shape, v.perm)
    for group in apart:
        last = max(stored, key=lambda d: stored.index(d) if d in group else -1)
        at = [d for d in stored if d not in group or d == last].index(last)
        stored = [d for d in stored if d not in group]
        stored[at:at] = group
    return _perm_for(v.shape, stored)


def _perm_for(shape: Shape, order: Sequence[int]) -> Shape:
    """A full order of dimensions in which those longer than 1 come in `order`: NHWC or the module's own if possible."""
    for perm in ((NHWC,) if len(shape) == 4 else ()) + (identity(shape),):
        if _order(shape, perm) == list(order):
            return perm
    return (*(d for d, n in enumerate(shape) if n == 1), *order)
