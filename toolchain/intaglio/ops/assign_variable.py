"""ASSIGN_VARIABLE: keep a value for the next inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..errors import GraphError
from ..graph import Array
from .base import Buf, Call, Ins, Num, Op, Outs, State, TfliteOp, Types, arr, need

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class AssignVariable(Op):
    """inputs: (value, state); no outputs. The reference returns the state's new value."""

    name: ClassVar[str] = "assign_variable"
    input_names: ClassVar[tuple[str, ...]] = ("value", "state")
    state: ClassVar[State] = "assigns"

    def infer(self, ins: Ins, outs: Outs) -> Types:
        value, state = need(ins[0]), need(ins[1])
        if not state.state:
            raise GraphError(state.name, "is assigned a value", "a state")
        if (value.shape, value.dtype) != (state.shape, state.dtype):
            raise GraphError(state.name, f"is {state.dtype}{state.shape}, assigned {value.dtype}{value.shape}")
        return []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [arr(xs[0]).copy()]

    def lower(self, node: Node, graph: Graph) -> Call:
        state = graph.tensors[node.inputs[1]]
        return Call("copy", "itg_copy", (Buf(node.inputs[0]), Buf(state.name), Num(state.nbytes)))

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("ASSIGN_VARIABLE", (node.inputs[1], node.inputs[0]))
