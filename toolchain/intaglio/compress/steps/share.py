"""`share`: the weights of each layer take few values, which training then tunes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from ...graph import Graph
from .base import Context, check_layers
from .training import Taught, train

MOST = 256


def _entries(value: Any) -> Any:
    for count in value.values() if isinstance(value, Mapping) else (value,):
        if not 2 <= count <= MOST:
            raise ValueError(f"is {count}; allowed: 2 to {MOST}")
    return value


def _groups(value: Any) -> Any:
    for count in value.values() if isinstance(value, Mapping) else (value,):
        if count < 1:
            raise ValueError(f"is {count}; allowed: 1 or more")
    return value


class Step(Taught):
    """See compress/share.py. Batch norms are folded first."""

    entries: Annotated[int | dict[str, int], AfterValidator(_entries)] = 16
    """Values that the weights of a layer take, zero included: of all layers, or by name or pattern."""
    groups: Annotated[int | dict[str, int], AfterValidator(_groups)] = 1
    """Codebooks of a layer, each for as many neighbouring output channels."""

    def check(self, graph: Graph) -> None:
        for option in ("entries", "groups"):
            value = getattr(self, option)
            if isinstance(value, Mapping):
                check_layers(graph, option, value)

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ...quantize.simplify import simplify
        from ...train import to_module
        from ..layers import by_layer
        from ..prune import keep_zeros
        from ..share import share

        module = to_module(simplify(graph))
        chosen = {w.name for w, _ in by_layer(module, "entries", self.entries)}
        others = [w for w in _names(module) if w not in chosen]
        keep_zeros(module, others)
        share(module, self.entries, groups=self.groups)
        train(module, self, context, teaching=self.distil)
        found: Graph = module.to_graph()
        return found


def _names(module: Any) -> list[str]:
    from ..layers import weights_of

    return [w.name for w in weights_of(module)]
