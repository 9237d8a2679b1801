"""Resource variables of a .tflite (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, CALL_ONCE) -> state tensors of a Graph.

A streaming model keeps its past in resource variables. A variable is known by its container and shared name; the
subgraph that CALL_ONCE names gives initial values, which must be constants. A variable that nothing initializes
begins, as in TFLM, with the zero point of the value that is assigned to it first, or with 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tflite

from ..errors import ModelError, UnsupportedError
from ..graph import DTYPES, Array, Node, Tensor, fresh
from ..ops.assign_variable import AssignVariable
from ..ops.read_variable import ReadVariable

if TYPE_CHECKING:
    from .tflite import _Reader

MAX_SUBGRAPHS = 64
Key = tuple[bytes, bytes]


@dataclass(frozen=True, eq=False)
class StateNode:
    """What became of an operator on variables: a node, or nothing for VAR_HANDLE and CALL_ONCE."""

    node: Node | None


def text(raw: bytes | None, limit: int) -> str:
    """A name from the file, safe to print: a control character could make a terminal do things."""
    return "".join(c if c.isprintable() else "?" for c in (raw or b"").decode("utf-8", "replace")[:limit])


def variable_key(operator: Any) -> Key:
    """What tells a VAR_HANDLE's variable from others: container and shared name, to the byte."""
    raw = operator.BuiltinOptions()
    options = tflite.VarHandleOptions()
    if raw is None or operator.BuiltinOptionsType() != tflite.BuiltinOptions.VarHandleOptions:
        return b"", b""
    options.Init(raw.Bytes, raw.Pos)
    return options.Container() or b"", options.SharedName() or b""


def shown(key: Key) -> str:
    """A variable's name for people: not unique."""
    return "/".join(text(p, 100) for p in key if p) or "variable"


def initial_values(reader: _Reader, model: Any) -> dict[Key, Array]:
    """Initial value of each variable, from the subgraphs that CALL_ONCE of the main subgraph names."""
    values: dict[Key, Array] = {}
    main = model.Subgraphs(0)
    for i in range(main.OperatorsLength()):
        operator = main.Operators(i)
        if reader.builtin(operator) != "CALL_ONCE":
            continue
        raw = operator.BuiltinOptions()
        index = 0
        if raw is not None and operator.BuiltinOptionsType() == tflite.BuiltinOptions.CallOnceOptions:
            options = tflite.CallOnceOptions()
            options.Init(raw.Bytes, raw.Pos)
            index = options.InitSubgraphIndex()
        if not 0 < index < min(model.SubgraphsLength(), MAX_SUBGRAPHS):
            raise ModelError(reader.where, f"CALL_ONCE names subgraph {index} of {model.SubgraphsLength()}")
        values |= _assigned(reader, model.Subgraphs(index))
    return values


def _assigned(reader: _Reader, sub: Any) -> dict[Key, Array]:
    tensors, foreign = reader.tensors(sub)
    handles: dict[int, Key] = {}
    values: dict[Key, Array] = {}
    problems: list[str] = []
    if sub.OperatorsLength() * 4 > len(reader.data):
        raise ModelError(reader.where, f"the file is damaged: it claims {sub.OperatorsLength()} operators")
    for i in range(sub.OperatorsLength()):
        operator = sub.Operators(i)
        builtin = reader.builtin(operator)
        ins = reader.indices(operator, "Inputs", len(tensors))
        outs = reader.indices(operator, "Outputs", len(tensors))
        if builtin == "VAR_HANDLE" and len(outs) == 1:
            handles[outs[0]] = variable_key(operator)
            continue
        value = tensors[ins[1]] if builtin == "ASSIGN_VARIABLE" and len(ins) == 2 else None
        if value is None or value.data is None or ins[0] not in handles or ins[1] in foreign:
            problems.append(f"{builtin} in the initialization subgraph: only constants can be assigned there")
        else:
            values[handles[ins[0]]] = value.data
    if problems:
        raise UnsupportedError(reader.where, problems)
    return values


class StateReader:
    """Maps handles to variables while the operators of the main subgraph go by."""

    def __init__(self, initial: dict[Key, Array], where: str, taken: set[str]) -> None:
        self.initial, self.where, self.taken = initial, where, taken
        self.handles: dict[int, Key] = {}
        self.states: dict[Key, Tensor] = {}
        self.assigned: set[Key] = set()

    def tensors(self) -> list[Tensor]:
        return list(self.states.values())

    def node(
        self, i: int, builtin: str, operator: Any, ins: list[int], outs: list[int], tensors: list[Tensor]
    ) -> StateNode | None:
        """None when the operator has nothing to do with variables."""
        if builtin == "CALL_ONCE":
            if self.states:
                # A reset happens before everything else; here the first inference would have seen other values.
                raise UnsupportedError(self.where, ["CALL_ONCE after an operator that uses a variable"])
            return StateNode(None)
        if builtin == "VAR_HANDLE" and len(outs) == 1:
            self.handles[outs[0]] = variable_key(operator)
            return StateNode(None)
        if builtin == "READ_VARIABLE" and len(ins) == 1 and len(outs) == 1:
            state = self._state(ins[0], tensors[outs[0]])
            return StateNode(Node(tensors[outs[0]].name, ReadVariable(), (state.name,), (tensors[outs[0]].name,)))
        if builtin == "ASSIGN_VARIABLE" and len(ins) == 2 and not outs and -1 not in ins:
            state = self._state(ins[0], tensors[ins[1]])
            self._begin(self.handles[ins[0]], state, tensors[ins[1]])
            return StateNode(Node(f"assign_{i}", AssignVariable(), (tensors[ins[1]].name, state.name), ()))
        return None

    def _begin(self, key: Key, state: Tensor, value: Tensor) -> None:
        """Let a variable without an initial value begin with the zero point of the first value assigned to it."""
        if key in self.initial or key in self.assigned:
            return
        self.assigned.add(key)
        zero = value.quant.zero_point[0] if value.quant is not None else 0
        self.states[key] = replace(state, data=np.full(state.shape, zero, DTYPES[state.dtype]))

    def _state(self, handle: int, value: Tensor) -> Tensor:
        """The state tensor behind a handle; its type is that of the first value read from it or assigned to it."""
        if handle not in self.handles:
            raise ModelError(self.where, f"{value.name} goes through a variable that no VAR_HANDLE names")
        key = self.handles[handle]
        known = self.states.get(key)
        if known is None:
            data = self.initial.get(key)
            if data is None:
                data = np.zeros(value.shape, DTYPES[value.dtype])
            name = fresh(f"state:{shown(key)}", self.taken)
            known = Tensor(name, value.shape, value.dtype, value.quant, data, state=True)
            self.states[key] = known
            self.taken.add(known.name)
        bad = known.data is None or known.data.shape != value.shape or known.data.dtype.name != value.dtype
        if bad or known.shape != value.shape or known.dtype != value.dtype:
            raise ModelError(self.where, f"variable {shown(key)} changes its shape or dtype at {value.name}")
        return known
