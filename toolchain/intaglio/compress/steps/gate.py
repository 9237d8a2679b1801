"""`gate`: training decides which weights go, by gates or by a threshold for each layer that it learns."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ...graph import Graph
from .base import Context, check_layers
from .training import Taught, module_of, train


class Step(Taught):
    """See compress/gates.py. `epochs` of training follow, with the weights that are left."""

    density: float = Field(ge=0, lt=1)
    """The part of the weights that may be left, of all layers together."""
    how: Literal["gates", "threshold"] = "gates"
    per: Literal["weight", "channel"] = "weight"
    """Of `gates`: what has one."""
    layers: tuple[str, ...] = ("*",)
    """By name or pattern."""
    strength: float = Field(default=30.0, gt=0, lt=float("inf"))
    """How much loss it may cost to remove all weights."""
    first_epochs: int = Field(default=5, ge=1)
    """Of the training that decides."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.how == "threshold" and self.per == "channel":
            raise ValueError('per is "channel" with how = "threshold"; allowed: "gates"')
        return self

    def check(self, graph: Graph) -> None:
        check_layers(graph, "layers", self.layers)

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ..gates import close_gates, gate, l0, threshold

        module = module_of(graph)
        if self.how == "gates":
            gate(module, self.layers, per=self.per)
        else:
            threshold(module, self.layers)
        penalty = l0(self.density, self.strength)
        train(
            module, self, context, part=self.how, teaching=self.distil, epochs=self.first_epochs, penalty=penalty
        )  # fmt: skip
        close_gates(module)
        train(module, self, context, teaching=self.distil)
        found: Graph = module.to_graph()
        return found
