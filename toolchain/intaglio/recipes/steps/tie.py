"""`tie`: layers of one shape have one weight, trained as one and stored once."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ...graph import Graph
from .base import Context, check_layers
from .training import Taught, module_of, train


class Step(Taught):
    """See compress/tie.py. Batch norms are folded first."""

    unshared: ClassVar[bool] = True
    layers: tuple[str, ...] = Field(min_length=1)
    """Two or more, by name or pattern."""

    def check(self, graph: Graph) -> None:
        from ...compress.tie import tie
        from ...floats.simplify import simplify

        check_layers(graph, "layers", self.layers)
        tie(simplify(graph), self.layers)

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ...compress.tie import tie
        from ...floats.simplify import simplify

        module = module_of(tie(simplify(graph), self.layers))
        train(module, self, context, teaching=self.distil)
        found: Graph = module.to_graph()
        return found
