"""How nodes are computed: the portable kernels, those that decode weights, and those that are faster on some cores.

What a kernel is, is in base.py. A folder here is a folder of runtime_c/kernels. Whatever module of them defines a
Kernel is found by looking, so that a kernel is its C file, its module and its test.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from .. import sources
from .base import Kernel
from .costs import measured

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from ..targets import Target


@cache
def every() -> tuple[Kernel, ...]:
    """All kernels, in the order of their modules' names."""
    found: list[Kernel] = []
    for module in sorted(m.name for m in pkgutil.walk_packages(__path__, f"{__name__}.") if ".encodings" not in m.name):
        for value in vars(importlib.import_module(module)).values():
            if isinstance(value, type) and issubclass(value, Kernel) and value.__module__ == module:
                found.append(value())
    return tuple(kernel for kernel in found if type(kernel) is not Kernel)


def fitting(node: Node, graph: Graph, target: Target) -> list[Kernel]:
    """The kernels that compute a node on a target, those of its preferred folders first."""
    order = {folder: i for i, folder in enumerate((*target.kernels, sources.PORTABLE))}
    mine = sorted((k for k in every() if k.folder in order), key=lambda k: order[k.folder])
    return [kernel for kernel in mine if kernel.fits(node, graph, target)]


def costs(core: str) -> dict[str, Mapping[str, float]]:
    """By the stem of its C file, what each kernel for weights takes on a core: see kernels/costs.py."""
    own = {stem: cost for kernel in every() for stem, cost in kernel.costs.items()}
    return {**own, **measured(core)}
