"""`gate`: training decides which weights go, by gates or by a threshold for each layer that it learns."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ...graph import Graph
from .base import Context, check_layers
from .training import Taught, train


class Step(Taught):
    """See compress/gates.py. `epochs` of training follow, with the weights that are left.

    What an earlier step has set to zero in these layers may come back: it is decided anew which weights go.
    """

    unshared: ClassVar[bool] = True

    density: float = Field(ge=0, lt=1)
    """The part of the weights that may be left, of all these layers together. Where training leaves more, those of the
    least LAMP scores go as well; with gates for channels it is only what training aims at."""
    how: Literal["gates", "threshold"] = "gates"
    per: Literal["weight", "channel"] = "weight"
    """Of `gates`: what has one."""
    layers: tuple[str, ...] = Field(default=("*",), min_length=1)
    """By name or pattern."""
    strength: float = Field(default=30.0, gt=0, lt=float("inf"))
    """How much loss it may cost to remove all weights."""
    first_epochs: int = Field(default=5, ge=1)
    """Of the training that decides."""

    @property
    def needs_targets(self) -> bool:
        """Whatever `epochs` says."""
        return True

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.how == "threshold" and self.per == "channel":
            raise ValueError('per is "channel" with how = "threshold"; allowed: "gates"')
        return self

    def check(self, graph: Graph) -> None:
        check_layers(graph, "layers", self.layers)

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ...compress.gates import close_gates, gate, l0, threshold
        from ...compress.layers import weights_of
        from ...compress.prune import keep_zeros, prune
        from ...compress.share import keep_codebooks
        from ...train import to_module

        module = to_module(graph)
        keep_codebooks(module)
        gated = {w.name for w in weights_of(module, self.layers, "layers")}
        keep_zeros(module, [w.name for w in weights_of(module) if w.name not in gated and not w.steps()])
        if self.how == "gates":
            gate(module, self.layers, per=self.per)
        else:
            threshold(module, self.layers)
        penalty = l0(self.density, self.strength)
        train(
            module, self, context, part=self.how, teaching=self.distil, epochs=self.first_epochs, penalty=penalty
        )  # fmt: skip
        close_gates(module)
        if self.per == "weight" and self.density > 0:
            prune(module, dict.fromkeys(gated, 1 - self.density), scope="lamp")
        train(module, self, context, teaching=self.distil)
        found: Graph = module.to_graph()
        return found
