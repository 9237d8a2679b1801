"""Inputs and outputs of models as .npz files: one array an input, [n, ...], by name or by position (`0`, `1`, or `x0`,
`x1`; `x` when there is one).

A model's leading dimension of 1 is left away in what a user gets, and may be in what a user gives. Integer arrays pass
through. Float arrays are quantized on the way in, and then the outputs are dequantized.
The files are taken for hostile: no pickles, and nothing is allocated beyond what a file really holds.
"""

from __future__ import annotations

import io
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from . import files
from .errors import DataError
from .graph import DTYPES, INT_RANGE, Array, as_array
from .manifest import Port

MAX_BYTES = 2 << 30
"""Bytes of all arrays that are read of a file together."""
MAX_INFLATED, MAX_RATIO = 1 << 28, 100
"""Of a compressed file: so many bytes, or so many times its own size. Data that anybody measured stays far below."""
MAX_HEADER = 1 << 16
"""Bytes of an array's header. NumPy takes a hundred for the arrays of a model; the format allows 4 GB."""
MAX_RANK = 16
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError, TypeError, KeyError, IndexError, OverflowError,
           EOFError, RuntimeError, struct.error)  # fmt: skip
"""What a damaged file makes zipfile and NumPy raise; RuntimeError is also that of recursion and of encryption."""
MAX_KEY = (1 << 16) - 1 - len(".npy")
"""Bytes of the name of an array in a zip file."""
_ALLOWED = "an .npz file with one array an input, as numpy.savez writes it"


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs as a model takes them: one [n, *shape] array an input, of its dtype.

    `floats`: some were given as floats, so the outputs are wanted as floats too.
    """

    arrays: list[Array]
    floats: bool

    def __len__(self) -> int:
        return len(self.arrays[0])


def load(path: Path, ports: Sequence[Port]) -> dict[str, Array]:
    """The arrays of an .npz file for `ports`, by their names, of any numeric dtype: one sample, or several.

    Other arrays in the file (labels) are not read. Raises DataError: unreadable, not an .npz, a name is missing, a
    shape that is none of the model's, more bytes than MAX_BYTES and its likes say.
    """
    names = [port.name for port in ports]

    def wanted(present: Sequence[str]) -> dict[str, str]:
        return dict(zip(names, keys(str(path), present, names), strict=True))

    return _read(path, wanted, {port.name: _sample_shapes(port) for port in ports})


def load_labels(path: Path, n: int, classes: int) -> Array:
    """The array `y` of an .npz file as int64 [n]: the class of each of `n` samples.

    Raises DataError: unreadable, no `y`, another shape, not integers, or not all of 0..classes - 1.
    """

    def wanted(present: Sequence[str]) -> dict[str, str]:
        if "y" not in present:
            held = ", ".join(sorted(present)[:12]) or "nothing"
            raise DataError(str(path), f"holds no array y; it holds {held}", "y: the class of each sample")
        return {"y": "y"}

    return labels(_read(path, wanted, {"y": [[], [1]]})["y"], n, classes, f"{path}: y")


def holds_labels(path: Path) -> bool:
    """Whether an .npz file has an array `y`. Raises DataError: unreadable."""
    found: list[str] = []

    def wanted(present: Sequence[str]) -> dict[str, str]:
        found.extend(present)
        return {}

    _read(path, wanted)
    return "y" in found


def labels(y: Array, n: int, classes: int, where: str) -> Array:
    """Labels [n] or [n, 1] as int64 [n], checked. Raises DataError as `load_labels`."""
    y = as_array(y)
    if y.shape not in ((n,), (n, 1)):
        raise DataError(where, f"has shape {list(y.shape)}", f"[{n}]: the class of each of the {n} samples")
    if y.dtype.kind not in "iu":
        raise DataError(where, f"has dtype {y.dtype}", "integers")
    bad = np.flatnonzero((y.ravel() < 0) | (y.ravel() >= classes))
    if bad.size:
        found = f"holds {y.ravel()[bad[0]]} at {bad[0]}, and {bad.size} such values in all"
        raise DataError(where, found, f"0 to {classes - 1}: the model has {classes} outputs")
    return np.asarray(y.ravel(), np.int64)


def _read(
    path: Path, wanted: Callable[[Sequence[str]], dict[str, str]], shapes: Mapping[str, list[list[int]]] | None = None
) -> dict[str, Array]:
    """Arrays of an .npz file; `wanted` says which, given the keys that there are: the name of each, and its key.

    `shapes`: by name, what a sample may be; another shape is refused before its data is read.
    """
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            size = stream.seek(0, io.SEEK_END)
            room = min(MAX_BYTES, max(MAX_INFLATED, MAX_RATIO * size))
            found: dict[str, Array] = {}
            for name, key in wanted(list(members)).items():
                allowed = (shapes or {}).get(name)
                found[name] = _member(archive, members[key], f"{path}: {key}", room, allowed)
                room -= found[name].nbytes
            return found
    except OSError as error:
        raise DataError(str(path), f"cannot be read ({error.strerror or error})", _ALLOWED) from error
    except _DAMAGE as error:
        # RuntimeError and NotImplementedError: encryption and compression that zipfile does not know.
        raise DataError(str(path), f"is not an .npz file ({error})", _ALLOWED) from error


def batch(arrays: Mapping[str, Array], ports: Sequence[Port], where: str) -> Batch:
    """Check and convert arrays, by the inputs' names or positions, to what the model takes.

    Raises DataError: missing array, wrong shape or dtype, NaN or infinity, unlike numbers of samples.
    """
    chosen = keys(where, list(arrays), [port.name for port in ports])
    converted = [
        _input(as_array(arrays[key]), port, f"{where}: {key}") for port, key in zip(ports, chosen, strict=True)
    ]
    counts = {port.name: len(array) for port, (array, _) in zip(ports, converted, strict=True)}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        found = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise DataError(where, f"holds {found}", "the same number of each input, at least one")
    return Batch([array for array, _ in converted], any(floats for _, floats in converted))


def random_batch(ports: Sequence[Port], n: int, seed: int = 0) -> Batch:
    """`n` seeded random inputs over the whole range of their dtypes (float32: a normal distribution)."""
    rng = np.random.default_rng(seed)
    arrays: list[Array] = []
    for port in ports:
        shape = (n, *port.shape)
        if port.dtype == "float32":
            arrays.append(rng.standard_normal(shape, np.float32))
        else:
            low, high = INT_RANGE[port.dtype]
            arrays.append(rng.integers(low, high, shape, DTYPES[port.dtype], endpoint=True))
    return Batch(arrays, False)


def save(path: Path, outputs: Sequence[Array], ports: Sequence[Port], keep: tuple[Path, ...] = ()) -> None:
    """Write outputs to an .npz file, whole or not at all: under their names (`y0`, `y1`, ... for those that a zip file
    cannot hold), or `y` when there is one; as `rows` has them.

    Raises OutputError.
    """
    buffer = io.BytesIO()
    names = ["y"] if len(ports) == 1 else [_storable(port.name, f"y{i}") for i, port in enumerate(ports)]
    outputs = [rows(array, port) for array, port in zip(outputs, ports, strict=True)]
    # numpy.savez takes names as keyword arguments, which forbids some, and writes the time into the file.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in zip(names, outputs, strict=True):
            one = io.BytesIO()
            np.lib.format.write_array(one, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), one.getvalue(), zipfile.ZIP_DEFLATED)
    files.write_file(path, buffer.getvalue(), keep)


def _storable(name: str, instead: str) -> str:
    """`name`, or what stands for it where it is longer than the names in a zip file, or not of Unicode."""
    try:
        return name if len(name.encode()) <= MAX_KEY else instead
    except UnicodeEncodeError:
        return instead


def rows(outputs: Array, port: Port) -> Array:
    """Outputs [n, *shape] without the model's leading dimension of 1: (n, 10) for a classifier, which compares with
    labels (n,)."""
    return outputs.reshape(len(outputs), *port.shape[1:]) if port.shape[:1] == (1,) else outputs


def quantize(x: Array, port: Port) -> Array:
    """float -> integers: round(x / scale) + zero_point, halves away from zero, clipped (the TFLite QUANTIZE)."""
    assert port.scale is not None and port.zero_point is not None
    low, high = INT_RANGE[port.dtype]
    # The quotient is a float32 as on a device; the half is added in float64, where that is exact.
    with np.errstate(over="ignore"):
        ratio = (x.astype(np.float32) / np.float32(port.scale)).astype(np.float64)
    rounded = np.trunc(ratio + np.copysign(0.5, ratio)) + port.zero_point
    return np.asarray(np.clip(rounded, low, high).astype(DTYPES[port.dtype]))


def dequantize(q: Array, port: Port) -> Array:
    """Integers -> float32; what has no scale stays as it is."""
    if port.scale is None or port.zero_point is None:
        return q
    return np.asarray((q.astype(np.int64) - port.zero_point).astype(np.float32) * np.float32(port.scale))


def keys(where: str, present: Sequence[str], names: Sequence[str]) -> list[str]:
    """The key, of those that are present, of each input: all of them names, or all of them positions.

    Raises DataError where neither is complete, or a position is the name of another input.
    """
    at = range(len(names))
    ways = [list(names), *([["x"]] if len(names) == 1 else []), [str(i) for i in at], [f"x{i}" for i in at]]
    found = next((way for way in ways if all(key in present for key in way)), None)
    if found is None:
        missing = [name for name in names if name not in present]
        held = ", ".join(sorted(present)[:12]) or "nothing"
        one = " or x" if len(names) == 1 and names[0] != "x" else ""
        allowed = f"{', '.join(names)}{one}; or by position: {', '.join(ways[-2])}, or {', '.join(ways[-1])}"
        raise DataError(where, f"holds no array {' and none '.join(missing)}; it holds {held}", allowed)
    elsewhere = [key for i, key in enumerate(found) if key in names and names[i] != key]
    if elsewhere:
        other = ways[-1] if found is ways[-2] else ways[-2]
        found_ = f"holds {', '.join(found)}, and {elsewhere[0]} is the name of another input than of that position"
        raise DataError(where, found_, f"{', '.join(names)}; or by position: {', '.join(other)}")
    return found


def _member(archive: zipfile.ZipFile, name: str, where: str, room: int, allowed: list[list[int]] | None) -> Array:
    """One array of at most `room` bytes; `allowed`: the shapes of a sample, None for any."""
    try:
        with archive.open(name) as stream:
            shape, fortran, dtype = _header(stream)
            if dtype.kind not in "fiub" or dtype.hasobject:
                raise DataError(where, f"has dtype {dtype}", "numbers")
            if allowed is not None and list(shape) not in allowed and list(shape[1:]) not in allowed:
                raise DataError(where, f"has shape {list(shape)}", _samples(allowed))
            size = math.prod(shape) * dtype.itemsize
            if size > room:
                found = f"has shape {list(shape)} of {dtype}, {size:,} bytes"
                raise DataError(where, found, f"{room:,} in a file of this size", "Save it without compression")
            raw = stream.read(size + 1)
        if len(raw) != size:
            raise DataError(where, "is damaged: its data does not match its shape", _ALLOWED)
        array = np.frombuffer(raw, dtype) if raw else np.zeros(0, dtype)
        return array.reshape(shape, order="F" if fortran else "C").astype(dtype.newbyteorder("="), "C", copy=False)
    except _DAMAGE as error:
        raise DataError(where, f"is damaged ({error})", _ALLOWED) from error


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is in Fortran's order, and dtype. Raises ValueError for what is no such header."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f".npy version {version}")
    # NumPy reads as much as the header claims, before it looks at it.
    length = stream.read(2 if version == (1, 0) else 4)
    if int.from_bytes(length, "little") > MAX_HEADER:
        raise ValueError(f"a header of {int.from_bytes(length, 'little'):,} bytes")
    text = io.BytesIO(length + stream.read(int.from_bytes(length, "little")))
    try:
        shape, fortran, dtype = readers[version](text)
    except Exception as error:
        # NumPy evaluates the header as Python, which fails in many ways (ValueError, SyntaxError, TokenError, ...).
        raise ValueError(f"its header cannot be read: {error}") from error
    if len(shape) > MAX_RANK or not all(type(d) is int and 0 <= d <= MAX_BYTES for d in shape):
        raise ValueError(f"the shape {shape}")
    return shape, fortran, dtype


def _sample_shapes(port: Port) -> list[list[int]]:
    """What a sample of an input may be: its batch of 1 need not be there."""
    return [list(port.shape)] + ([list(port.shape[1:])] if port.shape[:1] == (1,) else [])


def _samples(shapes: list[list[int]]) -> str:
    return " or ".join(f"[{', '.join(['n', *map(str, shape)])}]" for shape in shapes)


def _input(x: Array, port: Port, where: str) -> tuple[Array, bool]:
    """One input's array, checked; whether it was given as floats."""
    shapes = _sample_shapes(port)
    if list(x.shape[1:]) not in shapes or x.ndim == 0:
        raise DataError(where, f"has shape {list(x.shape)}", _samples(shapes))
    x = x.reshape(len(x), *port.shape)
    if x.dtype == DTYPES[port.dtype] and port.dtype != "float32":
        return np.ascontiguousarray(x), False
    if x.dtype.kind != "f" or (port.dtype != "float32" and port.scale is None):
        allowed = port.dtype if port.dtype == "float32" or port.scale is None else f"{port.dtype}, or float to quantize"
        raise DataError(where, f"has dtype {x.dtype}", allowed)
    with np.errstate(over="ignore"):
        # A number beyond float32 is as bad as infinity.
        bad = np.flatnonzero(~np.isfinite(x.ravel().astype(np.float32, copy=False)))
    if bad.size:
        at = [int(i) for i in np.unravel_index(int(bad[0]), x.shape)]
        found = f"holds {x.ravel()[bad[0]]} at {at}, and {bad.size} such values in all"
        raise DataError(where, found, "finite numbers")
    if port.dtype == "float32":
        return np.ascontiguousarray(x, np.float32), True
    return quantize(x, port), True
