"""`fine-tune`: train the weights that there are; zeros stay zeros, and shared values shared."""

from __future__ import annotations

from ...graph import Graph
from .base import Context
from .training import Taught, module_of, train


class Step(Taught):
    """Training alone."""

    def apply(self, graph: Graph, context: Context) -> Graph:
        module = module_of(graph)
        train(module, self, context, teaching=self.distil)
        found: Graph = module.to_graph()
        return found
