"""Targets: how to compile for a core. Read from targets/<name>/target.toml, which holds data only."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
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
    return validated(path, model, toml(path, BoardError), given={"name": name})


def validated(
    path: Path, model: type[ModelT], table: object, at: tuple[str, ...] = (), given: Mapping[str, object] | None = None
) -> ModelT:
    """A table of a data file as a model. `at`: the keys that lead to it. `given`: fields that no file may set.

    Raises BoardError.
    """
    given = given or {}
    if not isinstance(table, dict):
        raise BoardError(f"{path}: {'.'.join(at)}", f"found {table!r}", "a table")
    for key in given.keys() & table.keys():
        raise BoardError(f"{path}: {key}", "unknown key", _allowed(model, (), given), f"The {key} is the folder's")
    try:
        return model.model_validate({**table, **given})
    except ValidationError as error:
        raise _board_error(path, model, error, at, given) from error


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


def impossible(path: Path, at: tuple[str, ...], error: ValidationError) -> BoardError:
    """The error for values that are right one by one and cannot be together."""
    return BoardError(f"{path}: {'.'.join(at)}", error.errors(include_url=False)[0]["msg"].removeprefix(_VALUE_ERROR))


def _board_error(
    path: Path, model: type[BaseModel], error: ValidationError, at: tuple[str, ...], given: Mapping[str, object]
) -> BoardError:
    """The first problem as where, found and allowed; the number of further ones."""
    problems = error.errors(include_url=False)
    first = problems[0]
    keys = tuple(str(part) for part in first["loc"])
    where = f"{path}: {'.'.join(at + keys)}" if at + keys else str(path)
    kind = first["type"]
    more = f"{len(problems) - 1} more problems in this file" if len(problems) > 1 else ""
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], _fields(model, keys[:-1], given), 1)
        hint = f"Did you mean {near[0]}? {more}".strip() if near else more
        return BoardError(where, "unknown key", _allowed(model, keys[:-1], given), hint)
    if kind == "missing":
        return BoardError(where, "this key is missing", _allowed(model, keys[:-1], given), more)
    found = repr(first["input"]) if not isinstance(first["input"], dict) else ""
    message = first["msg"].removeprefix(_VALUE_ERROR)
    return BoardError(where, f"found {found}" if found else message, message if found else "", more)


_VALUE_ERROR = "Value error, "


def _fields(model: type[BaseModel], keys: tuple[str, ...], given: Mapping[str, object]) -> list[str]:
    """Names of the keys that are allowed under `keys`."""
    kinds: list[type[BaseModel]] = [model]
    for key in keys:
        kinds = [sub for kind in kinds for sub in _nested(kind, key)] or kinds
    return sorted({name for kind in kinds for name in kind.model_fields} - (set() if keys else given.keys()))


def _nested(model: type[BaseModel], key: str) -> list[type[BaseModel]]:
    """The models that the field `key` may hold."""
    field = model.model_fields.get(key)
    if field is None:
        return []
    options: list[Any] = [field.annotation, *get_args(field.annotation)]
    return [kind for kind in options if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _allowed(model: type[BaseModel], keys: tuple[str, ...], given: Mapping[str, object]) -> str:
    return ", ".join(_fields(model, keys, given))
