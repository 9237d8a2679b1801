"""`channels`: filters and neurons are removed, with all that depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from ...errors import DataError
from ...graph import Graph
from .base import Context, Parts
from .training import Taught, label_loss, module_of, train

if TYPE_CHECKING:
    from ...compress.analyses.importance import Importance

SAMPLES = 512
"""Of the training data that activations and gradients are looked at with."""
STRENGTHS = {"slimming": 1e-4, "group-lasso": 1e-4, "growing": 1.0}


class Step(Taught):
    """See compress/prune_channels.py and compress/slim.py. `epochs` of training follow the removal."""

    ratio: Parts | None = None
    """The part of the channels that goes: of all layers, or by name or pattern."""
    keep_macs: float | None = Field(default=None, gt=0, le=1)
    """In place of `ratio`: the part of the multiply-accumulates that is left at most."""
    keep_weights: float | None = Field(default=None, gt=0, le=1)
    """In place of `ratio`: the part of the constants that is left at most."""
    importance: Literal["l1", "l2", "batch-norm-scale", "activation", "taylor"] | None = None
    """By default batch-norm-scale after slimming, else l2."""
    ranking: Literal["layer", "global"] = "layer"
    round_to: int = Field(default=4, ge=1)
    """Channels are left in multiples of this."""
    first: Literal["nothing", "auto", "slimming", "group-lasso", "growing"] = "nothing"
    """A penalty that makes channels small before they go, in a training of its own. `auto` is slimming for a model with
    batch norms, group-lasso for others (whose batch norms are folded, maybe)."""
    strength: float | None = Field(default=None, ge=0, lt=float("inf"))
    """Of that penalty; by default 1e-4, for growing 1."""
    first_epochs: int = Field(default=5, ge=1)
    """Of that training."""

    @property
    def needs_targets(self) -> bool:
        """The trainings need them, and importances that look at data."""
        return self.epochs > 0 or self.first != "nothing" or self.importance in ("activation", "taylor")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if sum(v is not None for v in (self.ratio, self.keep_macs, self.keep_weights)) != 1:
            raise ValueError("takes one of ratio, keep_macs and keep_weights")
        alone = self.given("strength", "first_epochs") if self.first == "nothing" else []
        if alone:
            raise ValueError(f'{alone[0]} is given with first = "nothing"; allowed: auto, {", ".join(STRENGTHS)}')
        return self

    def check(self, graph: Graph) -> None:
        from ...compress.analyses.importance import l2
        from ...compress.prune_channels import choose_channels, layers_named

        for pattern in self.ratio if isinstance(self.ratio, Mapping) else ():
            layers_named(graph, pattern)
        for option, wanted, others in (
            ("first", "slimming", "auto, group-lasso, growing"),
            ("importance", "batch-norm-scale", "l1, l2, activation, taylor"),
        ):
            if getattr(self, option) == wanted and not any(n.op.statistics for n in graph.nodes):
                raise DataError(option, f"is {wanted!r}, and the model has no batch norm", others)
        # What the original does not allow no smaller one does.
        choose_channels(graph, importance=l2, ranking=self.ranking, round_to=self.round_to, **self._wanted(graph))

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ...compress.prune_channels import choose_channels, remove_channels

        first = self._first(graph)
        how = self._how(graph, context, first)
        groups = choose_channels(graph, **how) if first == "growing" else None
        if first != "nothing":
            module = module_of(graph)
            penalty = self._penalty(graph, first, groups)
            train(module, self, context, part=first, teaching=self.distil, epochs=self.first_epochs, penalty=penalty)
            graph = module.to_graph()
        graph = remove_channels(graph, choose_channels(graph, **how) if groups is None else groups)
        module = module_of(graph)
        train(module, self, context, teaching=self.distil)
        found: Graph = module.to_graph()
        return found

    def _first(self, graph: Graph) -> str:
        if self.first != "auto":
            return self.first
        return "slimming" if any(n.op.statistics for n in graph.nodes) else "group-lasso"

    def _how(self, graph: Graph, context: Context, first: str) -> dict[str, Any]:
        """The arguments of `choose_channels`."""
        importance = self.importance or ("batch-norm-scale" if first == "slimming" else "l2")
        how: dict[str, Any] = {
            "importance": self._importance(importance, graph, context),
            "ranking": self.ranking, "round_to": self.round_to,
        }  # fmt: skip
        return {**how, **self._wanted(graph)}

    def _wanted(self, graph: Graph) -> dict[str, Any]:
        """How much is to go."""
        from ...compress.prune_channels import count_weights

        if self.keep_macs is not None:
            return {"macs": int(self.keep_macs * graph.macs())}
        if self.keep_weights is not None:
            return {"weights": int(self.keep_weights * count_weights(graph))}
        return {"ratio": self.ratio}

    def _importance(self, name: str, graph: Graph, context: Context) -> Importance:
        from ...compress.analyses import importance

        if name == "batch-norm-scale":
            return importance.batch_norm_scale
        if name in ("l1", "l2"):
            return importance.l1 if name == "l1" else importance.l2
        assert context.train is not None
        x, y = context.train.labelled(SAMPLES)
        if name == "activation":
            return importance.activation(x)
        return importance.taylor(x, y, context.loss or label_loss(graph))

    def _penalty(self, graph: Graph, first: str, groups: Any) -> Any:
        from ...compress import slim

        strength = STRENGTHS[first] if self.strength is None else self.strength
        if first == "growing":
            return slim.growing(graph, groups, strength)
        return (slim.slimming if first == "slimming" else slim.group_lasso)(graph, strength)
