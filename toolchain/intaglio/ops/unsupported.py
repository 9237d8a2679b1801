"""A placeholder for an operator that a front end cannot take, so that `inspect` can still show the whole model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Ins, Op, Outs, Types


@dataclass(frozen=True)
class Unsupported(Op):
    """Keeps the operator's own name and the reason; every stage after loading refuses it."""

    name: ClassVar[str] = "unsupported"
    kind: str = ""
    reason: str = ""

    def infer(self, ins: Ins, outs: Outs) -> Types:
        return [(t.shape, t.dtype) for t in outs]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        return [self.reason]
