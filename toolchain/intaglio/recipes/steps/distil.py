"""`distil`: train the model to say what a teacher says, at its outputs and, where layers are paired, inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

from pydantic import Field, model_validator

from ...errors import DataError
from ...graph import Graph
from .base import Context
from .training import Teaching, Training, module_of, require_alike, teachers_of, train


class Step(Training, Teaching):
    """See compress/distil.py. The teacher may come from any format; it has the model's inputs and classes."""

    features: float = Field(default=0.0, ge=0, lt=float("inf"))
    """Weight of the difference of paired features; other numbers of channels are mapped."""
    attention: float = Field(default=0.0, ge=0, lt=float("inf"))
    """Weight of the difference of paired attention maps."""
    layers: tuple[tuple[str, str], ...] = ()
    """Pairs: a layer of the model, and the teacher's that it should be like."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if bool(self.layers) != bool(self.features or self.attention):
            raise ValueError("layers go with features or attention, and neither without the other")
        return self

    @property
    def inside(self) -> float:
        """The weight of features and attention."""
        return self.features + self.attention

    def check(self, graph: Graph) -> None:
        from ...compress.distil import tapped

        tapped(graph, [mine for mine, _ in self.layers])

    def check_teachers(self, graph: Graph, teachers: Mapping[str, Graph]) -> None:
        from ...compress.distil import tapped

        require_alike(graph, teachers[self.teacher], self.teacher)
        tapped(teachers[self.teacher], [its for _, its in self.layers])

    def teacher_names(self) -> tuple[str, ...]:
        return teachers_of(self)

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ...compress.distil import tapped, untapped

        outputs = len(graph.outputs)
        if outputs != 1:
            raise DataError(f"graph {graph.name}", f"has {outputs} outputs", "one, with a score for each class")
        student = tapped(graph, [mine for mine, _ in self.layers]) if self.layers else graph
        module = module_of(student)
        train(module, self, context, teaching=self)
        found: Graph = module.to_graph()
        return replace(untapped(found), name=graph.name) if self.layers else found
