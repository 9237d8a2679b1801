"""`share`: the weights of each layer take few values, which training then tunes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ...errors import DataError
from ...graph import Graph
from .base import Context, Parts, check_layers, weighted
from .training import Taught, train

MOST = 256


def _entries(value: Any) -> Any:
    if isinstance(value, Mapping) and not value:
        raise ValueError("names no layer; allowed: a number for all, or a table of layers")
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

    shares: ClassVar[bool] = True
    entries: Annotated[int | dict[str, int], AfterValidator(_entries)] = 16
    """Values that the weights of a layer take, zero included: of all layers, or by name or pattern."""
    groups: Annotated[int | dict[str, int], AfterValidator(_groups)] = 1
    """Codebooks of a layer, each for as many neighbouring output channels."""
    soft_epochs: int = Field(default=0, ge=0)
    """Of a training before, in which weights are drawn to their centres bit by bit."""
    soft: Literal["k-means", "mixture"] = "k-means"
    """How: each weight a mean of the centres that it attends to (compress/soft_share.py), or a mixture of Gaussians as
    their prior (compress/mixture.py)."""
    strength: float = Field(default=10.0, ge=0, lt=float("inf"))
    """Of `mixture`: how much loss a nat a weight costs."""
    zeros: Parts = 0.0
    """Of `mixture`: the part of the weights that its component at zero has; 0 for none."""

    @property
    def needs_targets(self) -> bool:
        """Both trainings need them."""
        return self.epochs > 0 or self.soft_epochs > 0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.soft_epochs and self.groups != 1:
            raise ValueError("soft_epochs go with one codebook a layer; allowed: groups = 1")
        if self.given("soft") and not self.soft_epochs:
            raise ValueError(f"soft is {self.soft!r} with soft_epochs = 0; allowed: 1 or more")
        alone = self.given("strength", "zeros") if self.soft != "mixture" else []
        if alone:
            raise ValueError(f'{alone[0]} is given with soft = "{self.soft}"; allowed: "mixture"')
        return self

    def check(self, graph: Graph) -> None:
        for option in ("entries", "groups", "zeros"):
            value = getattr(self, option)
            if isinstance(value, Mapping):
                check_layers(graph, option, value)
        for pattern, groups in (self.groups if isinstance(self.groups, Mapping) else {"*": self.groups}).items():
            for node in weighted(graph, option="groups", layers=[pattern]) if groups > 1 else ():
                channels = graph.tensors[node.inputs[1]].shape[node.op.out_axis]
                if groups > channels:
                    where = f"groups of {node.name!r}"
                    raise DataError(where, f"is {groups}", f"1 to its {channels} output channels")

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ...compress.layers import by_layer
        from ...compress.prune import keep_zeros
        from ...compress.share import share
        from ...compress.soft_share import harden
        from ...floats.simplify import simplify
        from ...train import to_module

        module = to_module(simplify(graph))
        chosen = {w.name for w, _ in by_layer(module, "entries", self.entries)}
        others = [w for w in _names(module) if w not in chosen]
        keep_zeros(module, others)
        if self.soft_epochs:
            how = self._softly(module)
            train(module, self, context, part="soft", teaching=self.distil, epochs=self.soft_epochs, **how)
            harden(module)
        else:
            share(module, self.entries, groups=self.groups)
        train(module, self, context, teaching=self.distil)
        found: Graph = module.to_graph()
        return found

    def _softly(self, module: Any) -> dict[str, Any]:
        """Prepares `module`; what `train` is to do for it."""
        from ...compress.mixture import mix, mixture_prior
        from ...compress.soft_share import SoftShare

        if self.soft == "k-means":
            return {"after_step": SoftShare(module, self.entries)}
        mix(module, self.entries, zeros=self.zeros)
        return {"penalty": mixture_prior(self.strength)}


def _names(module: Any) -> list[str]:
    from ...compress.layers import weights_of

    return [w.name for w in weights_of(module)]
