"""A placeholder for an operator that a front end cannot take, so that `inspect` can still show the whole model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .base import Ins, Op, Outs, Types

if TYPE_CHECKING:
    from ..graph import Node


@dataclass(frozen=True)
class Unsupported(Op):
    """Keeps the operator's own name and the reason; every stage after loading refuses it.

    Without a reason there is nothing wrong with the operator itself: what it reads could not be translated."""

    name: ClassVar[str] = "unsupported"
    optional: ClassVar[int] = 1
    repeats: ClassVar[bool] = True
    supported: ClassVar[bool] = False
    kind: str = ""
    reason: str = ""

    @property
    def title(self) -> str:
        return self.kind

    def infer(self, ins: Ins, outs: Outs) -> Types:
        return [(t.shape, t.dtype) for t in outs]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        return [self.reason] if self.reason else []


def unsupported(nodes: Iterable[Node]) -> list[str]:
    """What is unsupported in a graph, one sentence an operator."""
    return [f"{n.op.kind} ({n.name}): {n.op.reason}" for n in nodes if isinstance(n.op, Unsupported) and n.op.reason]
