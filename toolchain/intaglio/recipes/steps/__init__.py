"""The steps of recipes, one file each, found by looking: a module here with a class `Step` adds one.

A step `fine-tune` is fine_tune.py. Its docstring and those of its options are the reference of what it does.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from .base import Step

SHARED = ("base", "training")
"""Modules here that are no steps."""


@cache
def kinds() -> tuple[str, ...]:
    """What `do` may say, sorted."""
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__) if m.name not in SHARED))


def kind_of(do: str) -> type[Step]:
    """The class that declares the options of a step, and does it."""
    found: type[Step] = importlib.import_module(f"{__name__}.{do.replace('-', '_')}").Step
    return found
