"""`prune`: weights of least magnitude become zero, at once, in rounds, or while the model trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ...errors import DataError
from ...graph import Graph
from .base import Context, Parts, check_layers
from .training import Taught, module_of, train

ROUNDS, MOST_ROUNDS = 3, 1000


class Step(Taught):
    """See compress/prune.py and compress/gradual.py. `epochs` of training follow: in each round, for `iterative`."""

    unshared: ClassVar[bool] = True
    sparsity: Parts | None = None
    """The part of the weights that becomes zero: of all layers, or by name or pattern, the later ones winning."""
    n_of_m: tuple[int, int] | None = None
    """In place of `sparsity`: keep so many weights of every so many."""
    how: Literal["one-shot", "iterative", "gradual"] = "one-shot"
    rounds: int = Field(default=ROUNDS, ge=1, le=MOST_ROUNDS)
    """Of `iterative`."""
    scope: Literal["layer", "global", "lamp"] = "layer"
    """Whether weights are ranked in each layer, or all together, by magnitude or by one relative to their layer's;
    gradual pruning knows the first."""
    block: tuple[int, int] = (1, 1)
    """(output channels, weights in a row) that are zero together."""
    regrowth: float = Field(default=0.2, ge=0, lt=1)
    """Of `gradual`: the part of the weights kept that first comes back by gradient."""
    updates: int = Field(default=50, ge=1)
    """Of `gradual`: how often masks change."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.sparsity is None) == (self.n_of_m is None):
            raise ValueError("takes one of sparsity and n_of_m")
        if self.n_of_m is not None and (self.how != "one-shot" or not 1 <= self.n_of_m[0] < self.n_of_m[1]):
            raise ValueError(f"n_of_m is {list(self.n_of_m)} with how = {self.how!r}; allowed: 1 <= n < m, one-shot")
        if min(self.block) < 1:
            raise ValueError(f"block is {list(self.block)}; allowed: 1 or more each")
        if self.scope != "layer" and (self.how == "gradual" or isinstance(self.sparsity, Mapping)):
            raise ValueError("ranks layers together only with one sparsity for all, one-shot or iterative")
        for key, how in (("rounds", "iterative"), ("regrowth", "gradual"), ("updates", "gradual")):
            if self.given(key) and self.how != how:
                raise ValueError(f"{key} is given with how = {self.how!r}; allowed: {how}")
        if self.how == "gradual" and self.epochs == 0:
            raise ValueError("gradual pruning happens during training: epochs is 0; allowed: 1 or more")
        return self

    def check(self, graph: Graph) -> None:
        if isinstance(self.sparsity, Mapping):
            check_layers(graph, "sparsity", self.sparsity)

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ...compress.gradual import Gradual
        from ...compress.prune import prune, prune_iteratively, prune_n_of_m

        if self.how == "gradual":
            return self._gradual(graph, context, Gradual)
        module = module_of(graph)
        if self.n_of_m is not None:
            prune_n_of_m(module, *self.n_of_m)
        elif self.how == "one-shot":
            prune(module, self.sparsity or 0.0, scope=self.scope, block=self.block)
        else:

            def tuned(number: int) -> None:
                train(module, self, context, part=f"round {number} of {self.rounds}", teaching=self.distil)

            prune_iteratively(module, self.sparsity or 0.0, self.rounds, tuned, scope=self.scope, block=self.block)
        if self.how == "one-shot":
            train(module, self, context, teaching=self.distil)
        found: Graph = module.to_graph()
        return found

    def _gradual(self, graph: Graph, context: Context, gradual: Any) -> Graph:
        from ...compress.layers import by_layer, weights_of
        from ...compress.prune import keep_zeros
        from ...train import to_module

        if any(t.quant is not None for t in graph.tensors.values()):
            raise DataError("gradual pruning", "the model shares its weights already", "", "Prune before sharing")
        module = to_module(graph)
        chosen = {w.name for w, _ in by_layer(module, "sparsity", self.sparsity or 0.0)}
        keep_zeros(module, [w.name for w in weights_of(module) if w.name not in chosen])
        schedule = gradual(module, self.sparsity, regrowth=self.regrowth, updates=self.updates, block=self.block)
        train(module, self, context, teaching=self.distil, after_step=schedule)
        found: Graph = module.to_graph()
        return found
