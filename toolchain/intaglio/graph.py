"""The one thing that flows through every stage: a Graph of Nodes and Tensors, all frozen.

Layout is NHWC and the batch is 1. A Tensor gains facts as the stages go: data, quantization, its place in memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from .errors import GraphError

if TYPE_CHECKING:
    from .ops.base import Call, Op

DTypeName = Literal["float32", "int8", "uint8", "int16", "int32", "int64"]
INT_RANGE: dict[str, tuple[int, int]] = {
    n: (int(np.iinfo(n).min), int(np.iinfo(n).max)) for n in ("int8", "uint8", "int16", "int32", "int64")
}
DTYPES: dict[str, np.dtype[Any]] = {n: np.dtype(n) for n in ("float32", *INT_RANGE)}
PACKED_BITS = (4, 2)
Array = np.ndarray[Any, np.dtype[Any]]
Preference = Literal["dense", "size", "balanced", "speed"]
"""By what the encoding of weights is chosen: see select/weights.py."""
Stage = Literal["float", "quantized", "selected", "planned"]


@dataclass(frozen=True)
class Quant:
    """real = scale * (q - zero_point), per tensor or per slice along `axis` (TFLite quantization specification).

    `scale` holds float32 values and `zero_point` integers: one of each per tensor, or one per index of `axis`.
    `bits` is 4 or 2 for constants (weights) that are an int8 array here and packed in flash; 8 stands for the whole of
    the dtype, whatever its width.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None
    bits: int = 8

    @property
    def per_tensor(self) -> bool:
        return len(self.scale) == 1


@dataclass(frozen=True)
class Place:
    """Where a tensor's bytes are at run time.

    `arena`: `offset` bytes into the arena. `input` / `output`: the caller's buffer number `index`.
    `const`: the flash array of the constant called `of`.
    """

    kind: Literal["arena", "input", "output", "const"]
    offset: int = 0
    index: int = 0
    of: str = ""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named array. `data` makes it a constant, unless `state` is set: then `data` is what a reset puts there.

    `encoding` says how flash holds constant int8 weights: the name of a module of kernels/encodings. Empty: as they
    are, packed where `quant` has fewer than 8 bits.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DTypeName
    quant: Quant | None = None
    data: Array | None = None
    state: bool = False
    place: Place | None = None
    encoding: str = ""

    @property
    def is_const(self) -> bool:
        return self.data is not None and not self.state

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * DTYPES[self.dtype].itemsize

    @property
    def stored_bytes(self) -> int:
        """Bytes of a constant in flash, without an encoding: `nbytes`, or as ops/packing.py packs it."""
        if self.quant is None or self.quant.bits == 8 or self.dtype != "int8":
            return self.nbytes
        return math.prod(self.shape[:1]) * packed_size(math.prod(self.shape[1:]), self.quant.bits)

    @property
    def scale(self) -> float:
        """The per-tensor scale, as the float32 it is in a file. Raises GraphError when there is none."""
        return self._per_tensor().scale[0]

    @property
    def zero_point(self) -> int:
        return self._per_tensor().zero_point[0]

    def _per_tensor(self) -> Quant:
        if self.quant is None or not self.quant.per_tensor:
            found = "no quantization" if self.quant is None else "per-channel quantization"
            raise GraphError(f"tensor {self.name}", found, "one scale and one zero point")
        return self.quant


@dataclass(frozen=True, eq=False)
class Node:
    """One operator applied to named tensors. An absent optional input is the empty string.

    `calls` are filled in by lowering: the C functions and their constant arguments. A view (RESHAPE) whose output
    the planner puts where its input is keeps none.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in execution order, tensors by name, and the names of the graph's inputs and outputs.

    `arena_bytes` is known once the graph is planned; `peak` names the node at which the arena is fullest.
    """

    name: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    arena_bytes: int | None = None
    peak: str = ""
    notes: tuple[str, ...] = field(default=())

    def ins(self, node: Node) -> list[Tensor | None]:
        """The node's input tensors, None for an absent optional one."""
        return [self.tensors[n] if n else None for n in node.inputs]

    def outs(self, node: Node) -> list[Tensor]:
        return [self.tensors[n] for n in node.outputs]

    def states(self) -> list[Tensor]:
        """The tensors that keep their value between two inferences, in a stable order."""
        return [t for t in self.tensors.values() if t.state]

    def consumers(self, name: str) -> list[Node]:
        """The nodes that read a tensor, in order, each once."""
        return list(self._readers.get(name, ()))

    def producer(self, name: str) -> Node | None:
        """The node that writes a tensor."""
        return self._writers.get(name)

    # Looked up for each node by many passes: worked out once, or thousands of nodes would take for ever.
    @cached_property
    def _readers(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def _writers(self) -> dict[str, Node]:
        return {name: node for node in reversed(self.nodes) for name in node.outputs}

    def with_nodes(self, nodes: Iterable[Node], tensors: Mapping[str, Tensor] | None = None) -> Graph:
        """The same graph with other nodes; tensors that nothing refers to any more are dropped."""
        nodes = tuple(nodes)
        pool = dict(self.tensors if tensors is None else tensors)
        used = {n for node in nodes for n in (*node.inputs, *node.outputs) if n}
        used.update(self.inputs, self.outputs)
        return replace(self, nodes=nodes, tensors={k: t for k, t in pool.items() if k in used})

    def macs(self) -> int:
        return sum(n.op.macs(self.ins(n), self.outs(n)) for n in self.nodes)


def packed_range(bits: int) -> tuple[int, int]:
    """What fits a number of bits, in two's complement."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def packed_size(values: int, bits: int) -> int:
    """Bytes that so many values take side by side."""
    return -(-values * bits // 8)


def layer_name(name: str) -> str:
    """A node's name without the list of fused names that TensorFlow appends."""
    return name.split(";")[0]


def same_parts(a: Graph, b: Graph) -> bool:
    """Whether two graphs have equal nodes on the very same tensors, as where a pass has found nothing to do."""

    def parts(graph: Graph) -> list[object]:
        return [(n.name, n.op, n.inputs, n.outputs, n.calls) for n in graph.nodes]

    tensors = a.tensors.keys() == b.tensors.keys() and all(t is b.tensors[name] for name, t in a.tensors.items())
    return tensors and (a.inputs, a.outputs) == (b.inputs, b.outputs) and parts(a) == parts(b)


def float_model(graph: Graph) -> bool:
    """Whether nothing in it is quantized: every tensor that is computed is float32."""
    return all(t.dtype == "float32" for t in graph.tensors.values() if not t.is_const)


def computes_in_float(graph: Graph) -> bool:
    """Whether an operator computes float32 from float32: results then depend on the order of sums, so the compiler."""
    return any(
        t is not None and t.dtype == "float32"
        for n in graph.nodes
        if not n.op.requantizes
        for t in (*graph.ins(n), *graph.outs(n))
    )


def constant(name: str, data: Array, quant: Quant | None = None) -> Tensor:
    """A constant tensor; the array is made contiguous and read-only."""
    data = np.asarray(data, order="C")
    data.setflags(write=False)
    dtype = str(data.dtype.name)
    if dtype not in DTYPES:
        raise GraphError(f"tensor {name}", f"dtype {dtype}", ", ".join(DTYPES))
    shape = tuple(int(d) for d in np.shape(data))
    return Tensor(name, shape, cast(DTypeName, dtype), quant, data)


def as_array(value: Any) -> Array:
    """A NumPy array from an array or a PyTorch tensor. bfloat16 and 8-bit floats, which NumPy lacks, become float32,
    which holds all of their values."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    held = value.detach().cpu()
    return np.asarray((held.float() if held.is_floating_point() and held.element_size() < 4 else held).numpy())


def equal_constants(graph: Graph) -> dict[str, str]:
    """By the name of each constant, the first with the same bytes and dtype: flash holds them once."""
    first: dict[tuple[str, bytes], str] = {}
    constants = (t for t in graph.tensors.values() if t.is_const and t.data is not None)
    return {t.name: first.setdefault((t.dtype, t.data.tobytes()), t.name) for t in constants if t.data is not None}


def fresh(name: str, taken: Container[str]) -> str:
    """`name`, or the first of name_1, name_2, ... that is not taken: a model may use any name for its own tensors."""
    if name not in taken:
        return name
    return next(f"{name}_{i}" for i in itertools.count(1) if f"{name}_{i}" not in taken)


def verify(graph: Graph, stage: Stage) -> Graph:
    """Check the rules of `stage` and return the graph unchanged; raise GraphError on the first rule broken.

    Always: names resolve, nodes are in execution order and have the inputs that their operators take, whose attributes
    are finite, each tensor is written once, shapes are what the operators say, constants match their shape and dtype,
    per-channel quantization has one entry a channel.
    quantized: an operator other than QUANTIZE and DEQUANTIZE has float32 tensors only, or none.
    selected: each node has its Calls.
    planned: each tensor that is read or written has its place, inside the arena.
    """
    here = f"graph {graph.name}"
    known = set(graph.inputs) | {t.name for t in graph.tensors.values() if t.data is not None}
    for key, t in graph.tensors.items():
        _verify_tensor(key, t)
    for name in (*graph.inputs, *graph.outputs):
        if name not in graph.tensors:
            raise GraphError(here, f"input or output {name!r} is not a tensor of the graph")
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in graph.tensors:
                raise GraphError(f"node {node.name}", f"input {name!r} does not exist")
            if name and name not in known:
                raise GraphError(f"node {node.name}", f"input {name!r} is read before anything has written it")
        for name in node.outputs:
            if name not in graph.tensors:
                raise GraphError(f"node {node.name}", f"output {name!r} does not exist")
            if name in known:
                raise GraphError(f"node {node.name}", f"output {name!r} is written twice")
            known.add(name)
        _verify_operator(node)
        found = [(t.shape, t.dtype) for t in graph.outs(node)]
        expected = [(tuple(s), d) for s, d in node.op.infer(graph.ins(node), graph.outs(node))]
        if found != expected:
            raise GraphError(f"node {node.name} ({node.op.name})", f"outputs are {found}", f"{expected}")
        _verify_stage(graph, node, stage)
    for name in graph.outputs:
        if name not in known:
            raise GraphError(here, f"output {name!r} is never written")
    return graph


def _verify_operator(node: Node) -> None:
    op = node.op
    fewest = len(op.input_names) - op.optional
    needed = node.inputs if op.repeats and not op.optional else node.inputs[:fewest]
    if len(node.inputs) < fewest or "" in needed or (len(node.inputs) > len(op.input_names) and not op.repeats):
        found = f"has {sum(map(bool, node.inputs))} inputs of {len(node.inputs)} places"
        names = f"{', '.join(op.input_names)}" + (f"; the last {op.optional} may be absent" if op.optional else "")
        raise GraphError(f"node {node.name} ({op.name})", found, names)
    for key, value in vars(op).items():
        if isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and key not in op.infinite)):
            raise GraphError(f"node {node.name} ({op.name})", f"has the {key} {value}", "a finite number")


def _verify_tensor(key: str, t: Tensor) -> None:
    here = f"tensor {t.name}"
    if key != t.name:
        raise GraphError(here, f"is filed under {key!r}")
    if t.dtype not in DTYPES or any(d < 1 for d in t.shape):
        raise GraphError(here, f"has shape {t.shape} and dtype {t.dtype}", "positive sizes; " + ", ".join(DTYPES))
    if t.data is not None and (t.data.shape != t.shape or t.data.dtype.name != t.dtype):
        raise GraphError(here, f"holds {t.data.dtype.name}{t.data.shape} but declares {t.dtype}{t.shape}")
    if t.encoding and (not t.is_const or t.dtype != "int8" or not t.shape):
        raise GraphError(here, f"is a {t.dtype} with the encoding {t.encoding}", "an int8 constant")
    q = t.quant
    if q is None:
        return
    if len(q.scale) != len(q.zero_point) or not all(math.isfinite(s) and s > 0 for s in q.scale):
        raise GraphError(here, "has scales that are not positive and finite, or more of them than zero points")
    if len(q.scale) > 1:
        axis = q.axis
        if axis is None or not 0 <= axis < len(t.shape) or t.shape[axis] != len(q.scale):
            raise GraphError(here, f"has {len(q.scale)} scales along axis {axis} of shape {t.shape}")
    lo, hi = INT_RANGE.get(t.dtype, INT_RANGE["int32"])
    if not all(lo <= z <= hi for z in q.zero_point):
        raise GraphError(here, f"has a zero point outside {lo}..{hi}")
    if q.bits != 8:
        _verify_packed(here, t, q.bits)


def _verify_packed(here: str, t: Tensor, bits: int) -> None:
    if bits in PACKED_BITS and t.dtype == "float32" and t.data is not None:
        return  # marked: what it will be quantized to
    if bits not in PACKED_BITS or t.dtype != "int8" or t.data is None or not t.shape:
        raise GraphError(here, f"is a {t.dtype} of {bits} bits", "8 bits; or 4 or 2 for an int8 constant")
    low, high = packed_range(bits)
    if t.data.min() < low or t.data.max() > high:
        raise GraphError(here, f"holds {t.data.min()}..{t.data.max()}", f"{low}..{high} in {bits} bits")


def _verify_stage(graph: Graph, node: Node, stage: Stage) -> None:
    here = f"node {node.name} ({node.op.name})"
    if stage == "float":
        return
    if not node.op.requantizes:
        dtypes = {t.dtype for t in (*graph.ins(node), *graph.outs(node)) if t is not None}
        if "float32" in dtypes and len(dtypes) > 1:
            raise GraphError(here, f"its tensors are {', '.join(sorted(dtypes))}", "all float32, or none")
    if stage == "selected" and not node.calls:
        raise GraphError(here, "has no kernel call")
    if stage == "planned":
        for t in (*graph.ins(node), *graph.outs(node)):
            if t is None:
                continue
            if t.place is None:
                raise GraphError(here, f"{t.name} has no place in memory")
            if t.place.kind == "arena" and not 0 <= t.place.offset <= (graph.arena_bytes or 0) - t.nbytes:
                raise GraphError(here, f"{t.name} lies outside the arena")
        for scratch in (a for c in node.calls for a in c.scratches):
            if scratch.offset is None or not 0 <= scratch.offset <= (graph.arena_bytes or 0) - scratch.nbytes:
                raise GraphError(here, f"{scratch.nbytes} bytes of scratch have no place inside the arena")
