"""READ_VARIABLE: the value of a state tensor.

Mostly no code at all: the planner reads the state where it lies, unless the state is assigned while its old value is
still needed; then the value is copied.
"""

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
class ReadVariable(Op):
    """inputs: (state,); outputs: (value,). Shapes and dtypes are equal."""

    name: ClassVar[str] = "read_variable"
    input_names: ClassVar[tuple[str, ...]] = ("state",)
    state: ClassVar[State] = "reads"

    def infer(self, ins: Ins, outs: Outs) -> Types:
        state = need(ins[0])
        if not state.state:
            raise GraphError(state.name, "is read as a variable", "a state")
        return [(state.shape, state.dtype)]

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        return [arr(xs[0]).copy()]

    def lower(self, node: Node, graph: Graph) -> Call:
        out = graph.tensors[node.outputs[0]]
        return Call("copy", "itg_copy", (Buf(node.inputs[0]), Buf(out.name), Num(out.nbytes)))

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("READ_VARIABLE", (node.inputs[0],))
