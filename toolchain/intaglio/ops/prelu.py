"""PRELU: x where it is positive, alpha * x elsewhere, with a learned alpha (He et al., ICCV 2015)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Call, Ins, Outs, Refuse, TfliteOp, Types, arr, need
from .elementwise import Binary
from .fixed import accumulator_problem, clamp_to, float32_ratio, quantize_multiplier, requantize
from .float32 import is_float, rounded
from .integer import reach
from .portable import Form, Runtime

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class PRelu(Binary):
    """inputs: x [...], alpha, which broadcasts to x: [c], [1][1][c] or all of it. Output: of x's shape."""

    name: ClassVar[str] = "prelu"
    tflite: ClassVar[tuple[str, ...]] = ("PRELU",)
    input_names: ClassVar[tuple[str, ...]] = ("x", "alpha")
    trainable: ClassVar[tuple[int, ...]] = (1,)

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x, alpha = need(ins[0]), need(ins[1])
        [(shape, dtype)] = super().infer(ins, outs)
        if shape != x.shape:
            raise GraphError(alpha.name, f"an alpha of {alpha.shape} for an input of {x.shape}")
        return [(shape, dtype)]

    def check_int8(self, a: Tensor, b: Tensor, out: Tensor) -> list[str]:
        above, below = _factors(a, b, out)
        problem = accumulator_problem(reach(a), [above]) or accumulator_problem(reach(a) * reach(b), [below])
        return [problem] if problem else []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        if is_float(ins, outs):
            real = arr(xs[0]).astype(np.float64)
            return [rounded(np.where(real >= 0, real, real * arr(xs[1])))]
        x, alpha, out = need(ins[0]), need(ins[1]), outs[0]
        return [_values(arr(xs[0]), arr(xs[1]), x, alpha, out, _factors(x, alpha, out))]

    def reach(self, widths: Sequence[float], ins: Ins) -> float:
        return widths[0] * max(widths[1], 1.0)

    def lower(self, node: Node, graph: Graph) -> Call:
        x, alpha = (need(t) for t in graph.ins(node))
        out = graph.outs(node)[0]
        if is_float([x], [out]):
            return self.call(node, graph, "prelu", ())
        (above, above_shift), (below, below_shift) = _factors(x, alpha, out)
        fields = (
            ("x_offset", -x.zero_point), ("alpha_offset", -alpha.zero_point), ("out_offset", out.zero_point),
            ("multiplier", above), ("shift", above_shift),
            ("alpha_multiplier", below), ("alpha_shift", below_shift),
        )  # fmt: skip
        return self.call(node, graph, "prelu", fields)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        x, alpha = (need(t) for t in graph.ins(node))
        out = graph.outs(node)[0]
        if x.dtype == "float32" or "litert" not in runtimes:
            return None
        slopes = np.arange(-128, 128) if alpha.data is None else np.unique(alpha.data).astype(np.int64)
        every = np.arange(-128, 128)[:, None]
        product = float(np.float32(x.scale) * np.float32(alpha.scale))
        rounded = [quantize_multiplier(float32_ratio(f, out.scale)) for f in (x.scale, product)]
        exact, litert = (_values(every, slopes, x, alpha, out, f) for f in (_factors(x, alpha, out), rounded))
        if (exact != litert).any():
            raise Refuse(f"LiteRT rounds {int((exact != litert).sum())} of {exact.size} products otherwise")
        return None

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("PRELU", node.inputs)

    def forward(self, *xs: Any) -> Any:
        return xs[0].clamp(min=0.0) + xs[1] * xs[0].clamp(max=0.0)


def _values(
    q: Array, slopes: Array, x: Tensor, alpha: Tensor, out: Tensor, factors: Sequence[tuple[int, int]]
) -> Array:
    distance = q.astype(np.int64) - x.zero_point
    product = distance * (slopes.astype(np.int64) - alpha.zero_point)
    y = np.where(distance >= 0, requantize(distance, *factors[0]), requantize(product, *factors[1]))
    return clamp_to(y + out.zero_point, -128, 127)


def _factors(x: Tensor, alpha: Tensor, out: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
    """(multiplier, shift) of a positive x, and of a negative x times alpha."""
    return quantize_multiplier(x.scale / out.scale), quantize_multiplier(x.scale * alpha.scale / out.scale)
