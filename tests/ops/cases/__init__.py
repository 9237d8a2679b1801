"""Random cases, one module an operator: cases/add.py holds those of ADD, in a tuple that is called CASES.

A module is found by looking: with it the operator is in every test that asks something of all operators (exports,
int16, float32, the core in QEMU, `make soak`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from intaglio.graph import Graph
from intaglio.ops.base import Op

Make = Callable[[np.random.Generator], Graph]
INTEGERS = ("int8",)
FLOATS = ("float32",)
WIDE = ("int8", "int16", "float32")


@dataclass(frozen=True)
class Cases:
    """Random graphs around one operator."""

    op: type[Op]
    make: Make
    """One of int8; of float32 where there is nothing else. every_operator.py makes the other dtypes of it."""
    dtypes: tuple[str, ...] = ("int8", "float32")
    label: str = ""
    """Tells several entries of one operator apart; default: the operator's name."""
    oracle: bool = True
    """False for what TFLM lacks."""
    halves: Make | None = None
    """Results half way between two integers, but for the last bits of a float: how scales are rounded then shows."""
    deep: Make | None = None
    """Five and six dimensions, or more axes than a runtime has room for."""
    domain: Callable[[np.ndarray], np.ndarray] = lambda x: x
    """Random floats moved to where the operator has a finite value."""

    @property
    def name(self) -> str:
        return self.label or self.op.name


@cache
def by_module() -> dict[str, tuple[Cases, ...]]:
    """All there are, by the name of the module."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").CASES for name in names}


def every() -> list[Cases]:
    """All there are, in the order of their names."""
    return sorted((c for found in by_module().values() for c in found), key=lambda c: c.name)
