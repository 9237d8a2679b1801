"""How a node is written to a file for other runtimes, where they lack its operator or round it differently: as
operators that they compute with the same bytes. What is said of a runtime here was found by running it: TFLM as the
`tflite-micro` wheel has it, LiteRT by its reference kernels. benchmarks/results/export.md has the proof.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from ..graph import Array, DTypeName, Graph, Node, Quant, Tensor, constant, fresh
from .base import Ins, Op, Outs, TfliteOp, Types

Runtime = Literal["tflm", "litert"]
RUNTIMES: tuple[Runtime, ...] = ("tflm", "litert")
NAMES: dict[Runtime, str] = {"tflm": "TFLM", "litert": "LiteRT"}
_INT8, _INT32 = 9, 2
"""In the schema's TensorType."""


@dataclass(frozen=True, eq=False)
class Form:
    """The nodes that stand for one, the tensors that they bring, and why it is not written as it is."""

    nodes: tuple[Node, ...]
    tensors: tuple[Tensor, ...]
    why: str


@dataclass(frozen=True, eq=False)
class Written(Op):
    """An operator that only a file knows: it has no other meaning here."""

    name: ClassVar[str] = ""
    repeats: ClassVar[bool] = True
    written: TfliteOp

    def infer(self, ins: Ins, outs: Outs) -> Types:
        return [(t.shape, t.dtype) for t in outs]

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return self.written


@dataclass
class Parts:
    """The form of one node while it is being put together."""

    node: Node
    graph: Graph
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def find(self, name: str) -> Tensor:
        return self.tensors[name] if name in self.tensors else self.graph.tensors[name]

    def new(self, t: Tensor) -> str:
        """A tensor like `t`, under a name of its own."""
        name = fresh(f"{self.node.outputs[0]}:{len(self.tensors)}", {**self.graph.tensors, **self.tensors})
        self.tensors[name] = replace(t, name=name)
        return name

    def const(self, data: Array, quant: Quant | None = None) -> str:
        return self.new(constant("", data, quant))

    def add(self, op: Op, ins: Sequence[str], like: Tensor | None = None) -> str:
        """A node whose result is quantized as `like` is, or as its first input; returns its name."""
        like = self.find(ins[0]) if like is None else like
        [(shape, dtype), *_] = op.infer([self.find(n) for n in ins], [like])
        out = self.new(Tensor("", shape, dtype, like.quant))
        self.nodes.append(Node(out, op, tuple(ins), (out,)))
        return out

    def write(self, op: TfliteOp, ins: Sequence[str], shape: Sequence[int], dtype: DTypeName) -> str:
        """A node of an operator that only the file knows."""
        out = self.new(Tensor("", tuple(shape), dtype))
        self.nodes.append(Node(out, Written(op), tuple(ins), (out,)))
        return out

    def form(self, why: str) -> Form:
        """What has been put together; the last node writes what the node wrote, under its name."""
        *before, last = self.nodes
        gone = last.outputs[0]
        nodes = (*before, replace(last, name=self.node.name, outputs=self.node.outputs))
        return Form(nodes, tuple(t for n, t in self.tensors.items() if n != gone), why)


def lacking(reasons: dict[Runtime, str], runtimes: Collection[Runtime]) -> str:
    """The reasons of those of `runtimes` that have one, as one text; an empty string where none has."""
    return "; ".join(f"{NAMES[r]} {reasons[r]}" for r in RUNTIMES if r in runtimes and reasons.get(r))


def looked_up(node: Node, graph: Graph, table: Array, why: str) -> Form:
    """An int8 function of one int8 number as a GATHER from its 256 results, which is exact: entry i is that of i - 128.

    Runtimes take int32 indices: CAST and ADD make them.
    """
    parts = Parts(node, graph)
    x, out = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    fields = {"InDataType": _INT8, "OutDataType": _INT32}
    wide = parts.write(TfliteOp("CAST", (x.name,), "CastOptions", fields), (x.name,), x.shape, "int32")
    offset = parts.const(np.array([128], np.int32))
    at = parts.write(TfliteOp("ADD", (wide, offset), "AddOptions"), (wide, offset), x.shape, "int32")
    entries = parts.const(table.astype(np.int8), out.quant)
    parts.write(TfliteOp("GATHER", (entries, at), "GatherOptions", {"Axis": 0}), (entries, at), out.shape, "int8")
    return parts.form(why)


def in_eight_bits(
    node: Node, graph: Graph, runtimes: Collection[Runtime], lacking_bits: Mapping[int, Collection[Runtime]]
) -> Form | None:
    """A layer whose packed weights are written as the int8 numbers that they are, where a runtime does not unpack so
    few bits: `lacking_bits` says which runtimes."""
    w = graph.tensors[node.inputs[1]]
    if w.quant is None or w.quant.bits == 8 or w.data is None:
        return None
    without = [NAMES[r] for r in RUNTIMES if r in runtimes and r in lacking_bits.get(w.quant.bits, ())]
    if not without:
        return None
    parts = Parts(node, graph)
    whole = parts.const(w.data, replace(w.quant, bits=8))
    why = f"with weights of 8 bits: {' and '.join(without)} unpack none of {w.quant.bits} here"
    return Form((replace(node, inputs=(node.inputs[0], whole, *node.inputs[2:])),), tuple(parts.tensors.values()), why)


def bias_quant(node: Node, graph: Graph) -> Quant | None:
    """The scales of a layer's bias: those of its input times those of its weights."""
    x, w = (graph.tensors[n] for n in node.inputs[:2])
    if x.quant is None or w.quant is None:
        return None
    scales = tuple(float(np.float32(x.scale * s)) for s in w.quant.scale)
    return Quant(scales, (0,) * len(scales), 0 if len(scales) > 1 else None)
