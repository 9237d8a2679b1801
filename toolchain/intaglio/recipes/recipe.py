"""Recipes: what is done to a model, step by step, as a TOML file says it.

    seed = 0

    [[step]]
    do = "prune"
    sparsity = 0.8
    epochs = 5

`do` names a file of steps/, whose `Step` class declares the options. Recipes of the package lie in recipes/.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ..errors import IntaglioError, RecipeError, UnsupportedError
from ..graph import Graph, float_model
from ..targets import toml, toml_text
from .steps import kind_of, kinds
from .steps.base import Step

KEYS = ("seed", "step")
UNNAMED = "recipe"
"""Where a recipe comes from that is in no file."""
WORDS = (
    ("tuple", "list"), ("Tuple", "list"), (" after validation", ""),
    ("dictionary or instance of Teaching", "table"), ("dictionary", "table"),
)  # fmt: skip
"""Python's words, and TOML's."""


@dataclass(frozen=True)
class Recipe:
    """Steps in order. Random numbers of step k follow from (seed, k), whatever ran before."""

    where: str
    """The file, for errors."""
    seed: int
    steps: tuple[Step, ...]

    def label(self, number: int) -> str:
        """Of step `number`, from 1 on, for errors and figures."""
        return f"step {number} ({self.steps[number - 1].do})"

    def to_dict(self) -> dict[str, Any]:
        """All options, defaults included."""
        return {"seed": self.seed, "step": [{"do": s.do, **s.model_dump(mode="json")} for s in self.steps]}


def names() -> list[str]:
    """Names of the recipes of the package, sorted."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load(name_or_path: str | os.PathLike[str]) -> Recipe:
    """A recipe of the package by its name, or any other by its path. Raises RecipeError."""
    text = os.fspath(name_or_path)
    path = _folder() / f"{text}.toml" if text in names() else Path(text)
    if path.suffix != ".toml" and not path.exists():
        raise RecipeError(f"recipe {text!r}", "unknown", f"{', '.join(names())}, or a .toml file", _near(text, names()))
    return from_dict(toml(path, RecipeError, text), text)


def parse(text: str, where: str = UNNAMED) -> Recipe:
    """The Recipe of a TOML text. Raises RecipeError: not TOML, unknown or missing keys, impossible values."""
    return from_dict(toml_text(text, RecipeError, where), where)


def from_dict(data: Mapping[str, Any], where: str = UNNAMED) -> Recipe:
    """The same from what a TOML file holds: {"seed": 0, "step": [{"do": ...}, ...]}."""
    for key in data:
        if key not in KEYS:
            raise RecipeError(f"{where}: {key}", "unknown key", ", ".join(KEYS), _near(key, KEYS))
    seed = data.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 32:
        raise RecipeError(f"{where}: seed", f"is {seed!r}", "a whole number from 0 to below 2^32")
    steps = data.get("step", [])
    if not isinstance(steps, Sequence) or not all(isinstance(s, Mapping) for s in steps):
        raise RecipeError(f"{where}: step", "is no list of tables", "[[step]] before each step")
    if not steps:
        raise RecipeError(where, "has no step", "[[step]] with do = " + ", ".join(kinds()))
    return Recipe(where, seed, tuple(_step(where, number, s) for number, s in enumerate(steps, 1)))


def check(recipe: Recipe, graph: Graph) -> None:
    """Refuse, before anything is trained, steps that cannot follow each other or name layers that are not there.

    Raises RecipeError, DataError, and UnsupportedError for a model that cannot be trained.
    """
    is_float = float_model(graph)
    shared = "those of the model do" if is_float and any(t.quant is not None for t in graph.tensors.values()) else ""
    for number, step in enumerate(recipe.steps, 1):
        here = f"{recipe.where}: {recipe.label(number)}"
        if step.takes != "any" and (step.takes == "float") != is_float:
            changed = any(s.gives != "same" for s in recipe.steps[: number - 1])
            made = "the steps before make it" if changed else "the model is"
            found = f"takes a {step.takes} model, and {made} {'float' if is_float else 'quantized'}"
            if is_float:
                remedy = "Put a step quantize before it"
            else:
                remedy = "Put it before the step that quantizes" if changed else "Give the float model"
            raise RecipeError(here, found, "", remedy)
        if shared and step.unshared:
            found = f"takes weights that do not share values, and {shared}"
            raise RecipeError(here, found, "", f"Put {step.do} before weights are shared")
        if shared and step.unfit_for_shared:
            found = f"cannot be with weights that share values, and {shared}"
            raise RecipeError(f"{here}, {step.unfit_for_shared}", found, "its default")
        shared = f"{recipe.label(number)} makes them" if step.shares else shared
        if step.takes == "float":
            with located(here):
                step.check(graph)
        is_float = is_float if step.gives == "same" else step.gives == "float"


@contextmanager
def located(where: str) -> Iterator[None]:
    """Errors of intaglio are raised again with the step that they happened in."""
    try:
        yield
    except UnsupportedError as error:
        raise UnsupportedError(f"{where}: {error.where}", error.problems, error.remedy) from error
    except IntaglioError as error:
        # The training says which step it is in.
        inside = error.where.removeprefix(where.rpartition(": ")[2]).lstrip(", ")
        here = f"{where}, {inside}" if inside else where
        raise type(error)(here, error.found, error.allowed, error.remedy) from error


def _step(where: str, number: int, options: Mapping[str, Any]) -> Step:
    here = f"{where}: step {number}"
    options = dict(options)
    do = options.pop("do", None)
    if do is None:
        raise RecipeError(f"{here}, do", "this key is missing", ", ".join(kinds()))
    if not isinstance(do, str) or do not in kinds():
        raise RecipeError(f"{here}, do", f"unknown step {do!r}", ", ".join(kinds()), _near(str(do), kinds()))
    kind = kind_of(do)
    try:
        return kind.model_validate(_tupled(options))
    except ValidationError as error:
        raise _problem(f"{here} ({do})", kind, error) from error


def _problem(here: str, kind: type[BaseModel], error: ValidationError) -> RecipeError:
    """The first problem as where, found and allowed; the number of further ones."""
    problems = error.errors(include_url=False)
    first = problems[0]
    keys = [str(part) if str(part).isprintable() else repr(part) for part in first["loc"]]
    owner = kind
    if len(keys) > 1:
        nested = _nested(kind, keys[0])
        owner, keys = (nested, keys[:2]) if nested is not None else (kind, keys[:1])
    where = f"{here}, {'.'.join(keys)}" if keys else here
    others = len({p["loc"][:1] for p in problems}) - 1
    more = f"{others} more problems in this step" if others > 0 else ""
    if first["type"] == "extra_forbidden":
        known = sorted(owner.model_fields)
        return RecipeError(where, "unknown key", ", ".join(known), f"{_near(keys[-1], known)} {more}".strip())
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return RecipeError(where, "this key is missing", owner.model_fields[keys[0]].description or "", more)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return RecipeError(where, message, "", more)
    allowed = " or ".join(dict.fromkeys(_said(p) for p in problems if p["loc"][:1] == first["loc"][:1]))
    return RecipeError(where, f"is {_listed(first['input'])!r}", allowed, more)


def _said(problem: Any) -> str:
    """What pydantic says of a problem, in the words of TOML."""
    if problem["type"] == "missing":
        return "more values"
    said = str(problem["msg"])
    for theirs, ours in WORDS:
        said = said.replace(theirs, ours)
    return said


def _listed(value: Any) -> Any:
    """Tuples as the lists that they were."""
    return [_listed(v) for v in value] if isinstance(value, list | tuple) else value


def _nested(kind: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The model that the field `key` holds, if it is one."""
    field = kind.model_fields.get(key)
    options = () if field is None else (field.annotation, *get_args(field.annotation))
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def _tupled(value: Any) -> Any:
    """Lists as tuples: a recipe is frozen."""
    if isinstance(value, list | tuple):
        return tuple(_tupled(v) for v in value)
    return {k: _tupled(v) for k, v in value.items()} if isinstance(value, dict) else value


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.4)
    return f"Did you mean {near[0]}?" if near else ""


def _folder() -> Path:
    return Path(__file__).parent
