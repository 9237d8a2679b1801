"""SUM over any dimensions: the kernel of MEAN, without the division."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..graph import Tensor
from .base import Ins, Refuse, need
from .fixed import quantize_multiplier
from .mean import Mean
from .portable import Form, Runtime

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class ReduceSum(Mean):
    """inputs: (x,), int8 or float32; output: the sum over `axes`."""

    name: ClassVar[str] = "reduce_sum"
    tflite: ClassVar[tuple[str, ...]] = ("SUM",)

    @property
    def stays_in_range(self) -> bool:
        return False

    def reach(self, widths: Sequence[float], ins: Ins) -> float:
        return widths[0] * self.count(need(ins[0]))

    def divisor(self, x: Tensor) -> int:
        return 1

    def factor(self, x: Tensor, out: Tensor) -> tuple[int, int]:
        return quantize_multiplier(x.scale / out.scale)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        if "litert" in runtimes and graph.outs(node)[0].dtype != "float32":
            raise Refuse("LiteRT adds integers without their zero points and scales")
        return super().portable(node, graph, runtimes)

    def forward(self, *xs: Any) -> Any:
        return xs[0].sum(dim=self.axes, keepdim=self.keep_dims) if self.axes else xs[0]
