"""A Graph as a file: all of it, as it is. A .tflite cannot say everything that a Graph can (batch norms, marks on float
weights, biases that depend on the place), and the state of a recipe must say all of it.

The file is a line of magic with the SHA-256 of what follows, a line of JSON, and the bytes of the constants one after
another, little-endian. Nothing in it is code.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError

from .errors import IntaglioError, ModelError
from .files import write_file
from .frontends.reading import model_bytes
from .graph import DTYPES, DTypeName, Graph, Node, Quant, Tensor, constant, verify
from .kernels import encodings
from .ops import all_ops
from .ops.base import Op
from .ops.unsupported import Unsupported
from .targets import DataModel

SUFFIX = ".itg"
MAGIC = b"intaglio graph 1 "
MAX_ELEMENTS = 1 << 28
MAX_BYTES = 1 << 28
"""Largest file: 256 MB is beyond any board."""
MAX_ENDS = 256
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
"""What prefixes every symbol of the generated code."""
_ALLOWED = "a file that `intaglio compress` wrote"


class _Tensor(DataModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str
    shape: tuple[int, ...]
    dtype: DTypeName
    quant: Quant | None
    state: bool
    encoding: str
    held: bool
    """Whether the file holds its bytes."""


class _Node(DataModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str
    op: str
    attributes: dict[str, JsonValue]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class _Graph(DataModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str
    nodes: tuple[_Node, ...]
    tensors: tuple[_Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...]


def write(graph: Graph) -> bytes:
    """The bytes of the file, the same for the same graph: one before lowering, which adds C calls and places."""
    tensors = list(graph.tensors.values())
    header = {
        "name": graph.name,
        "nodes": [
            {"name": n.name, "op": n.op.name, "attributes": asdict(n.op), "inputs": n.inputs, "outputs": n.outputs}
            for n in graph.nodes
        ],
        "tensors": [
            {
                "name": t.name, "shape": t.shape, "dtype": t.dtype,
                "quant": None if t.quant is None else asdict(t.quant), "state": t.state, "encoding": t.encoding,
                "held": t.data is not None,
            }
            for t in tensors
        ],
        "inputs": graph.inputs, "outputs": graph.outputs, "notes": graph.notes,
    }  # fmt: skip
    held = [np.ascontiguousarray(t.data, DTYPES[t.dtype].newbyteorder("<")) for t in tensors if t.data is not None]
    body = json.dumps(header).encode() + b"\n" + b"".join(a.tobytes() for a in held)
    return MAGIC + digest(body).encode() + b"\n" + body


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def save(path: Path, graph: Graph) -> None:
    """Write the file whole or not at all. Raises OutputError."""
    write_file(path, write(graph))


def load(path: Path | str) -> Graph:
    """Raises ModelError for a file that cannot be read, is damaged, or is not one of these."""
    return parse(model_bytes(Path(path), MAX_BYTES, _ALLOWED), str(path))


def parse(data: bytes, where: str) -> Graph:
    """The Graph of the file's bytes, its float or integer rules verified. Raises ModelError."""
    first, _, body = data.partition(b"\n")
    if not first.startswith(MAGIC):
        raise ModelError(where, "is no graph file of this version", _ALLOWED)
    if first.removeprefix(MAGIC) != digest(body).encode():
        raise ModelError(where, "is damaged: its contents do not have the checksum that it states", _ALLOWED)
    text, _, raw = body.partition(b"\n")
    try:
        found = _Graph.model_validate_json(text)
        nodes = [Node(n.name, _op(n), n.inputs, n.outputs) for n in found.nodes]
        tensors = _tensors(found.tensors, raw, where)
        graph = Graph(found.name, tuple(nodes), tensors, found.inputs, found.outputs, notes=found.notes)
        graph = verify(graph, "float")
    except (ValidationError, IntaglioError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(where, f"is not a sound graph: {reason}", _ALLOWED) from error
    except (ValueError, TypeError, IndexError, ArithmeticError, AssertionError) as error:
        # The rules of operators trust their attributes, which front ends check.
        raise ModelError(where, f"is not a sound graph ({error})", _ALLOWED) from error
    if not graph.inputs or not graph.outputs or len(set(graph.inputs)) != len(graph.inputs):
        raise ModelError(where, "has no input or no output, or an input twice", "at least one of each")
    if max(len(graph.inputs), len(graph.outputs)) > MAX_ENDS:
        ends = f"has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
        raise ModelError(where, ends, f"{MAX_ENDS} at most of each")
    if not _IDENTIFIER.fullmatch(graph.name):
        raise ModelError(where, f"is of a graph called {graph.name[:80]!r}", "a name that C could have, up to 100 long")
    _require_own_states(graph, where)
    return graph.with_nodes(graph.nodes)


def _require_own_states(graph: Graph, where: str) -> None:
    """State is for the two operators that read and assign it: others take what holds data for a constant."""
    for node in graph.nodes:
        for t in graph.ins(node):
            if t is not None and t.state and not node.op.state:
                found = f"{node.op.name} ({node.name}) takes the state {t.name}"
                raise ModelError(where, found, "what READ_VARIABLE gives of it")
    made = {*graph.inputs, *graph.outputs, *(name for node in graph.nodes for name in node.outputs)}
    for t in graph.states():
        if t.name in made or t.data is None:
            found = f"the state {t.name} is an input, an output or a result, or has no value to start from"
            raise ModelError(where, found, _ALLOWED)


def _op(node: _Node) -> Op:
    kind = all_ops().get(node.op)
    if kind is None or kind is Unsupported:
        raise ValueError(f"no operator is called {node.op!r}")
    unknown = set(node.attributes) - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(f"{node.op} has no attribute {min(unknown)!r}")
    made: Op = TypeAdapter(kind).validate_json(json.dumps(node.attributes), strict=True)
    return made


def _tensors(described: tuple[_Tensor, ...], raw: bytes, where: str) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    at = 0
    for t in described:
        size = math.prod(t.shape)
        if any(d < 1 for d in t.shape) or size > MAX_ELEMENTS:
            raise ModelError(where, f"tensor {t.name} has shape {list(t.shape)}", f"1 to {MAX_ELEMENTS} elements")
        if t.encoding and t.encoding not in encodings.names():
            raise ModelError(where, f"tensor {t.name} has the encoding {t.encoding!r}", ", ".join(encodings.names()))
        made = Tensor(t.name, t.shape, t.dtype, t.quant, state=t.state, encoding=t.encoding)
        if t.held:
            end = at + size * DTYPES[t.dtype].itemsize
            if end > len(raw):
                raise ModelError(where, f"ends within tensor {t.name}", _ALLOWED)
            made = _with_data(made, raw[at:end])
            at = end
        tensors[t.name] = made
    if at != len(raw):
        raise ModelError(where, f"has {len(raw) - at} bytes too many", _ALLOWED)
    return tensors


def _with_data(t: Tensor, raw: bytes) -> Tensor:
    stored: Any = np.frombuffer(raw, DTYPES[t.dtype].newbyteorder("<")).reshape(t.shape)
    data = stored if sys.byteorder == "little" else stored.astype(DTYPES[t.dtype])
    made = constant(t.name, data, t.quant)
    return replace(t, data=made.data)
