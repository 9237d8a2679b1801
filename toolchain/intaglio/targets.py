"""Targets: how to compile for a core. Read from targets/<name>/target.toml, which holds data only."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import assets
from .errors import BoardError, IntaglioError


class DataModel(BaseModel):
    """Base of everything read from a data file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Gcc(DataModel):
    """The compiler that builds firmware."""

    program: str = Field(min_length=1)
    """Name on PATH."""
    flags: tuple[str, ...] = ()
    """Flags that choose the core; optimization and section flags are the same everywhere (see build.py)."""
    fallback_flags: tuple[str, ...] = ()
    """Added for a file that does not compile without them (compiler bugs). Default: none."""
    link_flags: tuple[str, ...] = ()
    """Flags of the final link only."""


class Clang(DataModel):
    """Clang for the same core, to check generated code with a second compiler."""

    program: str = "clang"
    """Name on PATH."""
    flags: tuple[str, ...] = ()
    """`--target=` and the flags that choose the core."""


class Target(DataModel):
    """A core and its compilers."""

    name: str
    """The folder's name; not a key of the file."""
    title: str = Field(min_length=1)
    """For people."""
    system: Literal["bare-metal", "linux", "host"]
    """What the firmware runs on; bare-metal boards need a memory map."""
    float: Literal["none", "single", "double"]
    """Floating point in hardware."""
    kernels: tuple[str, ...] = Field(min_length=1)
    """Folders of runtime_c/kernels in order of preference; the last must be "c", which is complete."""
    gcc: Gcc
    clang: Clang = Clang()


def names() -> list[str]:
    """Names of all targets, sorted."""
    return sorted(path.parent.name for path in (assets.root() / "targets").glob("*/target.toml"))


def load(name: str) -> Target:
    """Read a target by name. Raises BoardError for an unknown name or a bad file."""
    if name not in names():
        raise unknown("target", name, names())
    path = assets.root() / "targets" / name / "target.toml"
    target = read_toml(path, Target, name)
    if target.kernels[-1] != "c":
        raise BoardError(f"{path}: kernels", f"ends with {target.kernels[-1]!r}", '"c", the complete folder, last')
    return target


def unknown(kind: str, name: str, known: Iterable[str]) -> BoardError:
    """The error for a name that does not exist, with the nearest one that does."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, 0.4)
    hint = f"Did you mean {near[0]}?" if near else f"`intaglio {kind}s` lists them"
    return BoardError(f"{kind} {name!r}", "unknown", ", ".join(known), hint)


ModelT = TypeVar("ModelT", bound=DataModel)


def read_toml(path: Path, model: type[ModelT], name: str) -> ModelT:
    """Read and validate a data file; `name` becomes the model's field of that name. Raises BoardError."""
    data = toml(path, BoardError)
    if "name" in data:
        raise BoardError(f"{path}: name", "unknown key", _allowed(model, ()), "The name is the folder's")
    try:
        return model.model_validate({**data, "name": name})
    except ValidationError as error:
        raise _board_error(path, model, error) from error


MAX_TOML = 1 << 20
"""Bytes of a data file or a recipe."""


def toml(path: Path, error: type[IntaglioError], where: str = "") -> dict[str, Any]:
    """What a TOML file holds; raises `error`, which says `where` (the path itself by default), for what is none."""
    where = where or str(path)
    try:
        if path.stat().st_size > MAX_TOML:
            raise error(where, f"has {path.stat().st_size:,} bytes", f"a TOML file of {MAX_TOML:,} at most")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as e:
        raise error(where, f"cannot be read ({getattr(e, 'strerror', None) or e})", "a TOML file in UTF-8") from e
    return toml_text(text, error, where)


def toml_text(text: str, error: type[IntaglioError], where: str) -> dict[str, Any]:
    """The same of a text."""
    try:
        found = tomllib.loads(text)
    except RecursionError as e:
        raise error(where, "is not TOML that is read: it is nested too deeply", "tables and lists as documented") from e
    except (ValueError, TypeError, OverflowError) as e:
        # Of these TOMLDecodeError is one; numbers of thousands of digits and days that do not exist are others.
        raise error(where, f"is not TOML: {e}", "see https://toml.io") from e
    values: list[Any] = [found]
    while values:
        value = values.pop()
        values += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise error(where, f"holds an integer of {value.bit_length()} bits", "64 bits, as TOML has them")
    return found


def _board_error(path: Path, model: type[BaseModel], error: ValidationError) -> BoardError:
    """The first problem as where, found and allowed; the number of further ones."""
    problems = error.errors(include_url=False)
    first = problems[0]
    keys = tuple(str(part) for part in first["loc"])
    where = f"{path}: {'.'.join(keys)}" if keys else str(path)
    kind = first["type"]
    more = f"{len(problems) - 1} more problems in this file" if len(problems) > 1 else ""
    if kind == "extra_forbidden":
        siblings = _fields(model, keys[:-1])
        near = difflib.get_close_matches(keys[-1], siblings, 1)
        hint = f"Did you mean {near[0]}? {more}".strip() if near else more
        return BoardError(where, "unknown key", _allowed(model, keys[:-1]), hint)
    if kind == "missing":
        return BoardError(where, "this key is missing", _allowed(model, keys[:-1]), more)
    found = repr(first["input"]) if not isinstance(first["input"], dict) else ""
    message = first["msg"].removeprefix("Value error, ")
    return BoardError(where, f"found {found}" if found else message, message if found else "", more)


def _fields(model: type[BaseModel], keys: tuple[str, ...]) -> list[str]:
    """Names of the keys that are allowed under `keys`."""
    kinds: list[type[BaseModel]] = [model]
    for key in keys:
        nested = [sub for kind in kinds for sub in _nested(kind, key)]
        kinds = nested or [kind for kind in kinds if _tag(kind) == key] or kinds
    return sorted({name for kind in kinds for name in kind.model_fields} - {"name"})


def _nested(model: type[BaseModel], key: str) -> list[type[BaseModel]]:
    """The models that the field `key` may hold."""
    field = model.model_fields.get(key)
    if field is None:
        return []
    options: list[Any] = [field.annotation, *get_args(field.annotation)]
    return [kind for kind in options if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _tag(model: type[BaseModel]) -> str:
    """The value of `kind` that selects this model among several, or nothing."""
    field = model.model_fields.get("kind")
    values = get_args(field.annotation) if field is not None else ()
    return str(values[0]) if values else ""


def _allowed(model: type[BaseModel], keys: tuple[str, ...]) -> str:
    return ", ".join(_fields(model, keys))
