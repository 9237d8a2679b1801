"""The portable kernels: complete, the meaning of all others, and what is taken where no other fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..ops.base import Call
from ..targets import Target
from .base import Kernel
from .encodings import stored_encoding

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Portable(Kernel):
    """Each operator brings its own: ops/x.py makes the call, runtime_c/kernels/c/x.c computes."""

    def fits(self, node: Node, graph: Graph, target: Target) -> bool:
        return not stored_encoding(node, graph)

    def calls(self, node: Node, graph: Graph, target: Target) -> tuple[Call, ...]:
        calls = node.op.lower(node, graph)
        return calls if isinstance(calls, tuple) else (calls,)
