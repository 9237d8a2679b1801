"""`encode`: flash holds each layer's weights in the encoding that serves best."""

from __future__ import annotations

from typing import ClassVar, Literal

from ...graph import Graph, Preference
from .base import Context
from .base import Step as Base


class Step(Base):
    """See select/weights.py. No output byte changes. A .tflite cannot say it: the .itg does."""

    takes: ClassVar[Literal["float", "quantized", "any"]] = "quantized"
    data: ClassVar[bool] = False
    prefer: Preference = "size"
    """What the choice is to be good for."""

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ...select.weights import choose_encodings

        context.show(f"{context.where}, comparing encodings")
        return choose_encodings(graph, self.prefer, context.core)
