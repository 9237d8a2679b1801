"""The hostile half of the ONNX front end: bytes -> plain Python, every length checked against what is there.

Format: onnx.proto (github.com/onnx/onnx), decoded by the `onnx` package's protobuf classes. Nothing of a tensor is
allocated before its claimed size equals the bytes that are there; external data stays inside the model's folder.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..errors import ModelError
from ..extras import missing
from ..graph import Array
from ..ops.base import Refuse
from .reading import MAX_NAME

MAX_BYTES = 1 << 28
"""Largest model file, and most bytes that its tensors take from files beside it, all together: 256 MB is beyond any
board."""
MAX_RANK = 8
DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64",
}  # fmt: skip
"""TensorProto.DataType by number, as NumPy has them; the others (strings, complex, 4 and 8-bit floats) are refused."""
_INT32_DATA = ("int32", "int16", "int8", "uint16", "uint8", "bool", "float16")
DAMAGE = (ValueError, TypeError, IndexError, KeyError, OverflowError, ArithmeticError, AttributeError, MemoryError,
           RecursionError)  # fmt: skip
EXTERNAL = "data beside the model, under its own folder"


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One node of the file. Attributes are int, float, str, Array, lists of these, or a Foreign."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any]


@dataclass(frozen=True)
class Foreign:
    """Something that intaglio has no use for, and why: reported where it is used."""

    reason: str


@dataclass(frozen=True)
class OnnxInput:
    """A graph input or output: its element type's NumPy name ("" for a foreign one); None for a dynamic dimension."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """What the rest of the front end works on."""

    opset: int
    inputs: tuple[OnnxInput, ...]
    outputs: tuple[str, ...]
    constants: dict[str, Array | Foreign]
    nodes: tuple[OnnxNode, ...]
    stated: dict[str, OnnxInput]
    """What the file says of values that nodes compute: shapes for display, never for computing."""


@dataclass
class _Beside:
    """The folder that external data may lie in, None for none, and the bytes that may still be read from there: a
    small file can refer to the same large one many times."""

    folder: Path | None
    left: int = MAX_BYTES


@contextmanager
def damage(where: str, what: str) -> Iterator[None]:
    """Turn what damaged content raises, out of protobuf or NumPy, into a ModelError."""
    try:
        yield
    except DAMAGE as e:
        found = f"the file is damaged: cannot read {what} ({type(e).__name__}: {clean(str(e), 200)})"
        raise ModelError(where, found, "", "Export the model again") from e


def clean(name: str, limit: int = MAX_NAME) -> str:
    """A name from the file, safe to print."""
    return "".join(c if c.isprintable() and c.isascii() else "?" for c in name[:limit])


def _str(raw: Any) -> str:
    """A string field, which protobuf gives as bytes where they are not UTF-8."""
    return raw if isinstance(raw, str) else bytes(raw).decode("utf-8", "replace")


def decode(data: bytes, where: str, folder: Path | None) -> OnnxModel:
    """The bytes of an .onnx file; external data is looked for under `folder` and refused without one.

    Raises: ModelError, ToolError without the onnx package.
    """
    onnx = _onnx()
    from google.protobuf.message import DecodeError

    if not data:
        raise ModelError(where, "is empty", "an .onnx file")
    if len(data) > MAX_BYTES:
        raise ModelError(where, f"has {len(data):,} bytes", f"{MAX_BYTES:,} at most")
    try:
        proto = onnx.ModelProto.FromString(data)
    except (DecodeError, *DAMAGE) as e:
        remedy = "Check that the download or export finished"
        raise ModelError(where, "is not an ONNX model: its protobuf cannot be decoded", "an .onnx file", remedy) from e
    with damage(where, "the model"):
        beside = _Beside(folder)
        opset = next((int(o.version) for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)
        graph = proto.graph
        if not graph.node or not graph.output or opset < 1:
            raise ModelError(where, "is not an ONNX model: it has no nodes, outputs or operator set", "an .onnx file")
        constants: dict[str, Array | Foreign] = {}
        for tensor in graph.initializer:
            key = _str(tensor.name)
            constants[key] = _tensor(tensor, f"{where}, initializer {clean(key)}", beside)
        for sparse in graph.sparse_initializer:
            constants[_str(sparse.values.name)] = Foreign("it is a sparse tensor; dense ones are supported")
        inputs = tuple(_input(v) for v in graph.input if _str(v.name) not in constants)
        nodes = tuple(_node(n, k, where, beside) for k, n in enumerate(graph.node))
        stated = {_str(v.name): _input(v) for v in (*graph.value_info, *graph.output)}
        return OnnxModel(opset, inputs, tuple(_str(o.name) for o in graph.output), constants, nodes, stated)


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as e:
        raise missing("onnx") from e
    return onnx


def _input(v: Any) -> OnnxInput:
    if v.type.WhichOneof("value") != "tensor_type":
        return OnnxInput(_str(v.name), "", None)
    kind = v.type.tensor_type
    shape = None
    if kind.HasField("shape"):
        shape = tuple(int(d.dim_value) if d.HasField("dim_value") else None for d in kind.shape.dim)
    return OnnxInput(_str(v.name), DTYPES.get(kind.elem_type, ""), shape)


def _node(n: Any, index: int, where: str, beside: _Beside) -> OnnxNode:
    name = clean(_str(n.name or (n.output[0] if n.output else "") or f"node {index}"))
    attrs = {_str(a.name): _attribute(a, f"{where}, node {name}", beside) for a in n.attribute}
    domain = "" if n.domain == "ai.onnx" else clean(_str(n.domain))
    inputs, outputs = (tuple(map(_str, names)) for names in (n.input, n.output))
    return OnnxNode(name, clean(_str(n.op_type)), domain, inputs, outputs, attrs)


def _attribute(a: Any, where: str, beside: _Beside) -> Any:
    """AttributeProto.type says which field holds the value."""
    match int(a.type):
        case 1:
            return float(a.f)
        case 2:
            return int(a.i)
        case 3:
            return bytes(a.s).decode("utf-8", "replace")
        case 4:
            return _tensor(a.t, f"{where}, attribute {clean(_str(a.name))}", beside)
        case 5:
            return Foreign("it holds a graph of its own (control flow), which intaglio does not run")
        case 6:
            return [float(v) for v in a.floats]
        case 7:
            return [int(v) for v in a.ints]
        case 8:
            return [bytes(v).decode("utf-8", "replace") for v in a.strings]
        case kind:
            return Foreign(f"its attribute {clean(_str(a.name))} is of the type number {kind}")


def _tensor(t: Any, here: str, beside: _Beside) -> Array | Foreign:
    """A TensorProto; raises ModelError where the bytes that are there are not the bytes that are claimed."""
    shape = tuple(int(d) for d in t.dims)
    dtype = DTYPES.get(int(t.data_type))
    if dtype is None:
        known = ", ".join(DTYPES.values())
        return Foreign(f"its data type is number {int(t.data_type)} of TensorProto; {known} are read")
    if len(shape) > MAX_RANK or any(d < 0 for d in shape):
        raise ModelError(here, f"has the shape {list(shape)[:16]}", f"up to {MAX_RANK} dimensions, none negative")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > MAX_BYTES:
        raise ModelError(here, f"claims {size:,} bytes", f"{MAX_BYTES:,} at most")
    if int(t.data_location) == 1:
        raw = _external({_str(e.key): _str(e.value) for e in t.external_data}, size, here, beside)
    elif t.HasField("raw_data"):
        raw = bytes(t.raw_data)
    else:
        return _typed(t, dtype, shape, here)
    if len(raw) != size:
        raise ModelError(here, f"has {len(raw):,} bytes of data", f"{size:,} for {dtype}{list(shape)}")
    return _frozen(np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False), shape)


def _typed(t: Any, dtype: str, shape: Sequence[int], here: str) -> Array:
    """Values in the repeated field of their type instead of raw bytes."""
    fields = {"float32": t.float_data, "float64": t.double_data, "int64": t.int64_data}
    values = t.int32_data if dtype in _INT32_DATA else fields[dtype]
    if len(values) != math.prod(shape):
        raise ModelError(here, f"has {len(values)} values", f"{math.prod(shape)} for {list(shape)}")
    if dtype == "float16":
        return _frozen(np.array(values, np.uint16).view(np.float16), shape)
    return _frozen(np.array(values, dtype), shape)


def _frozen(data: Array, shape: Sequence[int]) -> Array:
    data = data.reshape(shape)
    data.setflags(write=False)
    return data


def _external(entries: dict[str, str], size: int, here: str, beside: _Beside) -> bytes:
    """`size` bytes of a file beside the model. Raises ModelError for a path that leaves its folder, in any way, and
    for more than MAX_BYTES in all."""
    folder = beside.folder
    location = entries.get("location", "")
    parts = PurePosixPath(location).parts
    told = f"refers to the file {clean(location)!r}"
    if folder is None or not parts or "\0" in location or "\\" in location or ":" in location:
        raise ModelError(here, told, EXTERNAL)
    if location.startswith("/") or ".." in parts:
        raise ModelError(here, f"{told}, outside the model's folder", EXTERNAL)
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise ModelError(here, f"{told}, through a symbolic link", EXTERNAL)
    offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(size)))
    if offset < 0 or length != size:
        raise ModelError(here, f"refers to {length} bytes from {offset} on", f"{size} bytes")
    beside.left -= size
    if beside.left < 0:
        told += f", and with it the model's external data comes to {MAX_BYTES - beside.left:,} bytes"
        raise ModelError(here, told, f"{MAX_BYTES:,} at most in all")
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size < offset + size:
                raise ModelError(here, f"{told}, which is no file of {offset + size:,} bytes or more", EXTERNAL)
            stream.seek(offset)
            return stream.read(size)
    except OSError as e:
        raise ModelError(here, f"{told}, which cannot be read ({e.strerror})", EXTERNAL) from e


def attribute(node: OnnxNode, key: str, kind: type, default: Any) -> Any:
    """An attribute of the wanted type, `list` for a list of integers. Raises Refuse for another type."""
    found = node.attrs.get(key, default)
    if isinstance(found, Foreign):
        raise Refuse(found.reason)
    fits = isinstance(found, kind) or (kind is float and isinstance(found, int))
    if found is not default and (not fits or (kind is list and not all(isinstance(i, int) for i in found))):
        raise Refuse(f"its attribute {key} is of another type than the operator has")
    return found
