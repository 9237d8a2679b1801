"""The operators, one file each, found by looking: a module here that defines an `Op` subclass with a name adds it."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from .base import Op


@cache
def all_ops() -> dict[str, type[Op]]:
    """Every operator by name, sorted."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found: list[type[Op]] = []
    queue: list[type[Op]] = [Op]
    while queue:
        for sub in queue.pop().__subclasses__():
            queue.append(sub)
            if sub.name and sub.__module__.startswith(__name__):
                found.append(sub)
    return {cls.name: cls for cls in sorted(found, key=lambda c: c.name)}


@cache
def by_tflite() -> dict[str, type[Op]]:
    """The operator class that reads each TFLite builtin operator, by its name in the schema (CONV_2D)."""
    return {builtin: cls for cls in all_ops().values() for builtin in cls.tflite}
