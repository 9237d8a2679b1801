"""The weights that pruning and sharing work on: found in a trainable module by the names of layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch.nn.utils import parametrize

from ..quantize.partial import choose
from ..train.module import GraphModule, graph_module

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a layer: where a GraphModule holds them."""

    name: str
    """The layer's name."""
    constant: str
    """Their tensor in the graph."""
    holder: Any
    attribute: str
    axis: int
    """The dimension of the output channels."""

    def value(self) -> Any:
        """They themselves, through whatever parametrizations, without a gradient."""
        return getattr(self.holder, self.attribute).detach()

    def original(self) -> Any:
        """The parameter that parametrizations work on."""
        return self._list().original if self.steps() else getattr(self.holder, self.attribute)

    def steps(self) -> list[Any]:
        """The parametrizations, in the order in which they are applied."""
        return list(self._list()) if parametrize.is_parametrized(self.holder, self.attribute) else []

    def _list(self) -> Any:
        return self.holder.parametrizations[self.attribute]

    def parametrize(self, by: Any) -> None:
        """Put a parametrization after those that are there."""
        parametrize.register_parametrization(self.holder, self.attribute, by)


def weights_of(module: GraphModule, layers: Collection[str] = ("*",), option: str = "layers") -> list[Weights]:
    """The weights of convolutions and fully connected layers, in the graph's order, each once.

    Args:
        module: or a Distillation of one, which is what a penalty is given.
        layers: names of layers with weights, or patterns with * and ?.
        option: where they come from, for errors.

    Raises: DataError for a name or pattern that no layer with weights has.
    """
    module = graph_module(module)
    graph = module.graph
    weighted = [n for n in graph.nodes if n.op.weighted and n.inputs[1] in module.places]
    wanted = choose(replace(graph, nodes=tuple(weighted)), layers, option)
    found: dict[str, Weights] = {}
    for node in weighted:
        if node.outputs[0] in wanted:
            key, attribute = module.places[node.inputs[1]]
            place = Weights(node.name, node.inputs[1], getattr(module.layers, key), attribute, node.op.out_axis)
            found.setdefault(node.inputs[1], place)
    return list(found.values())


def by_layer(module: GraphModule, option: str, values: Value | Mapping[str, Value]) -> list[tuple[Weights, Value]]:
    """An option that has one value for all layers with weights, or one by name or pattern: of those the later ones
    win, and layers that none of them names are left out.

    Raises: DataError for a name or pattern that no layer with weights has.
    """
    by_name: Mapping[str, Value] = values if isinstance(values, Mapping) else {"*": values}
    found: dict[str, tuple[Weights, Value]] = {}
    for name, value in by_name.items():
        found.update({w.constant: (w, value) for w in weights_of(module, [name], option)})
    return [found[w.constant] for w in weights_of(module) if w.constant in found] if found else []
