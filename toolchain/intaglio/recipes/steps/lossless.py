"""`lossless`: channels go that no output byte depends on."""

from __future__ import annotations

from typing import ClassVar, Literal

from ...graph import Graph
from .base import Context
from .base import Step as Base


class Step(Base):
    """See compress/lossless.py. Needs no data and no PyTorch."""

    takes: ClassVar[Literal["float", "quantized", "any"]] = "quantized"
    data: ClassVar[bool] = False
    borders: bool = True
    """Whether biases may depend on the place of the output, which no .tflite can hold. Without, channels that need such
    biases stay."""

    def apply(self, graph: Graph, context: Context) -> Graph:
        from ...compress.lossless import lossless

        return lossless(graph, self.borders)
