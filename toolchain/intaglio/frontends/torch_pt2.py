"""A .pt2 file (torch.export.save) -> an nn.Module that computes the same, without unpickling anything.

`torch.export.load` unpickles parts of a file without restrictions, evaluates expressions that it holds, and loads
compiled libraries: it runs what a stranger wrote. So this file reads the archive itself: a zip file, not compressed,
with the program as JSON (torch/_export/serde/schema.py) and each parameter as bare bytes beside a JSON description.
Operators are looked up by name, and only those that have a translation, or make constants. The result is traced again
by torch.export, so that no shape in the file is believed either.
"""

from __future__ import annotations

import inspect
import io
import json
import logging
import math
import operator
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError, UnsupportedError
from ..graph import Array, Graph
from . import torch as frontend
from .reading import MAX_NAME, model_bytes

MAX_BYTES = 1 << 28
MAX_ELEMENTS = 1 << 28
KIND = "a .pt2 file as torch.export.save writes it"
_AGAIN = "Save the program again, with torch 2.9 or newer"
_NAME = re.compile(rf"[A-Za-z0-9_]{{1,{MAX_NAME}}}")
_PATH = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 12: "bool",
    13: "bfloat16",
}  # fmt: skip
"""ScalarType of the schema, by number. NumPy lacks bfloat16: it is the upper half of a float32."""
MAKERS = (
    "arange", "full", "full_like", "ones", "ones_like", "scalar_tensor", "zeros", "zeros_like", "sqrt", "reciprocal",
    "exp", "log", "eq", "where", "index_select", "sym_size",
)  # fmt: skip
"""Operators that are allowed beside those of the front end: they make constants of constants, or give sizes."""
_SIZES = {
    f"_operator.{name}": getattr(operator, name)
    for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "getitem")
}  # fmt: skip
"""Arithmetic on sizes, in programs with a dynamic batch."""
_CHECKS = ("_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range", "sym_constrain_range_for_size")
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError, MemoryError,
           zipfile.BadZipFile, RuntimeError, EOFError)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Step:
    """One call: what is called, arguments in which a `Ref` stands for an earlier result, and its results' names."""

    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: tuple[str, ...]


@dataclass(frozen=True)
class Ref:
    """The result of an earlier step, a parameter, or an input."""

    name: str


def load(path: Path | str) -> Graph:
    """Read a .pt2 file: a float Graph, like that of the module that was exported.

    Raises: ModelError for a damaged or foreign file, UnsupportedError listing what is unsupported, ToolError without
    PyTorch.
    """
    path = Path(path)
    return parse(model_bytes(path, MAX_BYTES, KIND), str(path), path.stem)


def parse(data: bytes, where: str, name: str) -> Graph:
    """`load` on the bytes of a file; `where` names it in errors."""
    from .tflite import identifier

    torch = frontend.torch_package()
    with _damage(where):
        module, examples = _program(torch, _Archive(data, where), where)
    with _silent():
        return frontend.load(module, examples, identifier(name))


@contextmanager
def _silent() -> Iterator[None]:
    """PyTorch logs tracebacks of what it then raises."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _damage(where: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as e:
        said = "".join(c if c.isprintable() else "?" for c in str(e))[:200]
        raise ModelError(where, f"is damaged, or of another version ({type(e).__name__}: {said})", KIND, _AGAIN) from e


class _Archive:
    """The members of the zip file, none of them compressed: a size that it states is a size that it has."""

    def __init__(self, data: bytes, where: str) -> None:
        self.zip = zipfile.ZipFile(io.BytesIO(data))
        self.read: dict[str, bytes] = {}
        self.room = MAX_BYTES
        """Bytes that the tensors may still have, all together."""
        infos = self.zip.infolist()
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(data):
                raise ModelError(where, "holds compressed members, which torch.export.save does not write", KIND)
        roots = {i.filename.split("/")[0] for i in infos}
        self.root = roots.pop() if len(roots) == 1 else ""
        self.names = {i.filename for i in infos}
        if f"{self.root}/archive_format" not in self.names:
            old = "serialized_exported_program.json" in self.names
            found = "was saved by a torch before 2.8" if old else "is no archive of torch.export.save"
            raise ModelError(where, found, KIND, _AGAIN)
        if any(n.startswith(f"{self.root}/data/aotinductor/") for n in self.names):
            raise ModelError(where, "holds libraries compiled for this computer (AOTInductor)", KIND)

    def member(self, name: str) -> bytes:
        """The bytes of a member, read once however many tensors name it."""
        if name not in self.read:
            self.read[name] = self.zip.read(name)
        return self.read[name]

    def json(self, member: str) -> Any:
        """A member as JSON; None where there is none."""
        name = f"{self.root}/{member}"
        return json.loads(self.zip.read(name)) if name in self.names else None

    def tensor(self, folder: str, entry: Mapping[str, Any], where: str) -> Array:
        """A tensor as its `entry` describes it: a view of the bytes of a member, checked against their number."""
        if entry["use_pickle"] or entry.get("tensor_meta") is None:
            raise ModelError(where, "holds a pickled tensor, which is not read", "plain tensors", _AGAIN)
        meta = entry["tensor_meta"]
        if meta["dtype"] not in DTYPES:
            kinds = ", ".join(DTYPES.values())
            raise ModelError(where, f"holds a tensor of the type number {_short(meta['dtype'])}", kinds)
        brief = DTYPES[meta["dtype"]] == "bfloat16"
        dtype = np.dtype("uint16" if brief else DTYPES[meta["dtype"]])
        sizes, strides = ([_int(n) for n in meta[k]] for k in ("sizes", "strides"))
        offset = _int(meta["storage_offset"])
        raw = self.member(f"{self.root}/data/{folder}/{entry['path_name']}")
        if len(sizes) != len(strides) or len(sizes) > 8 or any(n < 0 for n in (*sizes, *strides, offset)):
            raise ValueError(f"a tensor of the sizes {sizes} and strides {strides}")
        if math.prod(sizes) == 0:
            return np.zeros(sizes, np.float32 if brief else dtype)
        # A stride of 0 repeats elements, so the number of bytes does not bound the number of elements.
        last = offset + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
        self.room -= math.prod(sizes) * dtype.itemsize
        if (last + 1) * dtype.itemsize > len(raw) or self.room < 0:
            raise ValueError(f"a tensor of the sizes {sizes} in {len(raw)} bytes")
        flat = np.frombuffer(raw[: len(raw) // dtype.itemsize * dtype.itemsize], dtype.newbyteorder("<"))
        steps = [s * dtype.itemsize for s in strides]
        found = np.array(np.lib.stride_tricks.as_strided(flat[offset:], sizes, steps), dtype)
        return (found.astype(np.uint32) << 16).view(np.float32) if brief else found


def _short(value: Any) -> str:
    return str(value)[:40]


def _int(size: Any) -> int:
    """A size that is a number. Raises ValueError for a dynamic one."""
    found = size["as_int"]
    if not isinstance(found, int) or isinstance(found, bool):
        raise ValueError(f"a size of {found!r}")
    return found


def _program(torch: Any, archive: _Archive, where: str) -> tuple[Any, tuple[Any, ...]]:
    """The module that replays the program, and example inputs."""
    programs = [n for n in archive.names if re.fullmatch(re.escape(archive.root) + r"/models/[^/]+\.json", n)]
    if len(programs) != 1:
        raise ModelError(where, f"holds {len(programs)} programs", "one")
    model = programs[0].rsplit("/", 1)[-1].removesuffix(".json")
    program = archive.json(f"models/{model}.json")
    graph, signature = program["graph_module"]["graph"], program["graph_module"]["signature"]
    tensors: dict[str, Array] = {}
    for folder, kind in (("weights", "weights"), ("constants", "constants")):
        entries = (archive.json(f"data/{folder}/{model}_{kind}_config.json") or {"config": {}})["config"]
        used = _names(signature)
        tensors |= {k: archive.tensor(folder, e, where) for k, e in entries.items() if k in used}
    inputs, held = _inputs(signature, tensors)
    steps, problems = _steps(torch, graph["nodes"])
    outputs = [_output(o, problems) for o in signature["output_specs"]]
    examples = tuple(_example(torch, graph["tensor_values"][i], i, problems) for i in inputs)
    if problems:
        raise UnsupportedError(where, problems, "`intaglio ops` lists the operators there are")
    return _replay(torch, steps, held, inputs, outputs), examples


def _names(signature: Mapping[str, Any]) -> set[str]:
    """Parameters, buffers and constants that the program takes."""
    return {
        str(v[k])
        for spec in signature["input_specs"]
        for v in spec.values()
        for k in ("parameter_name", "buffer_name", "tensor_constant_name")
        if k in v
    }


def _inputs(signature: Mapping[str, Any], tensors: Mapping[str, Array]) -> tuple[list[str], dict[str, Any]]:
    """Names of the inputs; and what the other placeholders hold: (path of a parameter or buffer, its value)."""
    inputs: list[str] = []
    held: dict[str, Any] = {}
    for spec in signature["input_specs"]:
        [(kind, v)] = spec.items()
        if kind == "user_input":
            inputs.append(_name(v["arg"]["as_tensor"]["name"]))
            continue
        path = str(v[{"parameter": "parameter_name", "buffer": "buffer_name"}.get(kind, "tensor_constant_name")])
        if not _PATH.fullmatch(path):
            raise ValueError(f"a parameter called {path[:80]!r}")
        held[_name(v["arg"]["name"])] = (path, tensors[path])
    return inputs, held


def _name(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"a value called {str(name)[:80]!r}")
    return name


def _example(torch: Any, value: Mapping[str, Any], name: str, problems: list[str]) -> Any:
    """A tensor of an input's shape, with a batch of 1 where it is dynamic."""
    sizes = [s.get("as_int") for s in value["sizes"]]
    if sizes and sizes[0] is None:
        sizes[0] = 1
    if DTYPES.get(value["dtype"]) != "float32":
        found = DTYPES.get(value["dtype"], f"number {_short(value['dtype'])}")
        remedy = " (module.float() before the export)" if "float" in found else ""
        problems.append(f"input {name}: its dtype is {found}; float32 is supported{remedy}")
    elif not sizes or any(s is None for s in sizes):
        problems.append(f"input {name}: its shape is dynamic beyond the batch; export with fixed sizes")
    elif sizes[0] != 1:
        problems.append(f"input {name}: its batch is {sizes[0]}; export with a batch of 1, or a dynamic one")
    elif any(s < 1 for s in sizes) or math.prod(sizes) > MAX_ELEMENTS:
        problems.append(f"input {name}: its shape is {sizes}; up to {MAX_ELEMENTS} elements are supported")
    else:
        return torch.zeros(sizes)
    return None


def _output(spec: Mapping[str, Any], problems: list[str]) -> str:
    [(kind, v)] = spec.items()
    if kind != "user_output":
        problems.append(f"it has an output of the kind {kind}: pass state as inputs and outputs")
        return ""
    return _name(v["arg"]["as_tensor"]["name"])


def _steps(torch: Any, nodes: Sequence[Mapping[str, Any]]) -> tuple[list[Step], list[str]]:
    steps: list[Step] = []
    problems: list[str] = []
    for node in nodes:
        target = str(node["target"])
        if target.split(".")[-2:-1] and target.split(".")[-2] in _CHECKS:
            continue
        found = _SIZES.get(target) or _operator(torch, target)
        results = [name for o in node["outputs"] for name in _results(o)]
        if found is None:
            shown = "".join(c if c.isprintable() else "?" for c in target)[:120]
            problems.append(f"{results[0] if results else 'a node'} ({shown}): no such operator in intaglio")
            continue
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for given in node["inputs"]:
            value = _argument(torch, given["arg"])
            if value is _ABSENT:
                continue
            if given.get("kind") == 1 and not kwargs:
                args.append(value)
            else:
                kwargs[_name(given["name"])] = value
        steps.append(Step(found, tuple(args), kwargs, tuple(results)))
    return steps, problems


def _operator(torch: Any, target: str) -> Any:
    """torch.ops.aten.NAME.OVERLOAD, if it is one of those that are allowed."""
    match = re.fullmatch(r"torch\.ops\.aten\.([a-z0-9_]+)\.([A-Za-z0-9_]+)", target)
    if match is None:
        return None
    # relu_ is relu that overwrites its input; the second export makes it one again.
    name = match[1]
    if not {name, name.removesuffix("_")} & {*frontend.HANDLERS, *MAKERS}:
        return None
    packet = getattr(torch.ops.aten, name, None)
    return None if packet is None or match[2] not in packet.overloads() else getattr(packet, match[2])


def _results(output: Mapping[str, Any]) -> list[str]:
    [(kind, value)] = output.items()
    if kind == "as_tensors":
        return [_name(v["name"]) for v in value]
    return [_name(value["as_name" if kind in ("as_sym_int", "as_sym_float", "as_sym_bool") else "name"])]


_ABSENT = object()
"""An argument that says where or how, not what: device, layout, memory format."""


def _argument(torch: Any, arg: Mapping[str, Any]) -> Any:
    """One argument of the schema's union, with `Ref` for tensors and sizes that are computed."""
    [(kind, value)] = arg.items()
    if kind == "as_none":
        return None
    if kind in ("as_memory_format", "as_layout", "as_device"):
        return _ABSENT
    if kind == "as_scalar_type":
        return getattr(torch, DTYPES[value])
    if kind in ("as_tensor", "as_sym_int"):
        return Ref(_name(value["name" if kind == "as_tensor" else "as_name"])) if "as_int" not in value else _int(value)
    if kind == "as_tensors":
        return [Ref(_name(v["name"])) for v in value]
    if kind == "as_sym_ints":
        return [_int(v) if "as_int" in v else Ref(_name(v["as_name"])) for v in value]
    if kind == "as_optional_tensors":
        return [None if "as_none" in v else Ref(_name(v["as_tensor"]["name"])) for v in value]
    if kind in ("as_float", "as_floats"):
        return float(value) if kind == "as_float" else [float(v) for v in value]
    allowed: dict[str, tuple[type, ...]] = {
        "as_int": (int,), "as_ints": (int,), "as_bool": (bool,), "as_bools": (bool,), "as_string": (str,),
    }  # fmt: skip
    for v in value if kind in ("as_ints", "as_bools") else [value]:
        if not isinstance(v, allowed[kind]):
            raise ValueError(f"an argument {kind} of {type(v).__name__}")
    return value


def _replay(
    torch: Any, steps: Sequence[Step], held: Mapping[str, Any], inputs: Sequence[str], outputs: Sequence[str]
) -> Any:
    """An nn.Module that runs the steps; its parameters have the names that they had."""

    class Replay(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *xs: Any) -> Any:
            env: dict[str, Any] = dict(zip(inputs, xs, strict=True))
            env.update((name, self.get_buffer(path)) for name, (path, _) in held.items())
            for step in steps:
                args, kwargs = _filled(step.args, env), _filled(step.kwargs, env)
                found = step.target(*args, **kwargs)
                several = isinstance(found, list | tuple)
                env.update(zip(step.results, found if several else (found,), strict=True))
            found = tuple(env[name] for name in outputs)
            return found if len(found) != 1 else found[0]

    # torch.export calls the inputs as the signature does.
    named = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", *inputs)]
    Replay.forward.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    root = Replay()
    for path, value in dict(held.values()).items():
        *parents, leaf = path.split(".")
        owner = root
        for parent in parents:
            if parent not in owner._modules:
                owner.add_module(parent, torch.nn.Module())
            owner = owner._modules[parent]
        owner.register_buffer(leaf, torch.from_numpy(value))
    return root


def _filled(v: Any, env: Mapping[str, Any]) -> Any:
    """Arguments with the values that their references name."""
    if isinstance(v, Ref):
        return env[v.name]
    if isinstance(v, dict):
        return {k: _filled(i, env) for k, i in v.items()}
    return type(v)(_filled(i, env) for i in v) if isinstance(v, list | tuple) else v
