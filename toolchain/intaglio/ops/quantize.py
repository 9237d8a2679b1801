"""QUANTIZE: float to int8 or int16, or integers to another scale, zero point, width or signedness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import INT_RANGE, Array, Tensor
from .base import Buf, Call, Ins, Outs, Struct, TfliteOp, Types, arr, need, over
from .elementwise import Unary
from .fixed import accumulator_problem, quantize_multiplier, requantize
from .integer import SUFFIX, reach, tensor_problem
from .rescale import rescale_call

if TYPE_CHECKING:
    from ..graph import Graph, Node

SUPPORTED = (
    ("float32", "int8"), ("int8", "int8"), ("int8", "uint8"), ("uint8", "int8"),
    ("float32", "int16"), ("int16", "int16"), ("int8", "int16"), ("int16", "int8"),
)  # fmt: skip


@dataclass(frozen=True)
class Quantize(Unary):
    """inputs: x float32 or integers; output: integers of the same shape, its dtype as declared."""

    name: ClassVar[str] = "quantize"
    tflite: ClassVar[tuple[str, ...]] = ("QUANTIZE",)
    requantizes: ClassVar[bool] = True

    def infer(self, ins: Ins, outs: Outs) -> Types:
        return [(need(ins[0]).shape, outs[0].dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x, out = need(ins[0]), outs[0]
        if (x.dtype, out.dtype) not in SUPPORTED:
            pairs = ", ".join(" to ".join(p) for p in SUPPORTED)
            return [f"it goes from {x.dtype} to {out.dtype}; supported are {pairs}"]
        for t in (x, out):
            problem = "" if t.dtype == "float32" else tensor_problem(t)
            if problem:
                return [problem]
        if x.dtype == "float32":
            return []
        problem = accumulator_problem(reach(x), [quantize_multiplier(x.scale / out.scale)])
        return [problem] if problem else []

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        y = requantize(q - x.zero_point, *quantize_multiplier(x.scale / out.scale)) + out.zero_point
        return np.asarray(np.clip(y, *INT_RANGE[out.dtype]))

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        if arr(xs[0]).dtype != np.float32:
            return super().reference(xs, ins, outs)
        out = outs[0]
        low, high = (np.float32(v - out.zero_point) for v in INT_RANGE[out.dtype])
        with np.errstate(over="ignore", invalid="ignore"):
            real = arr(xs[0]) / np.float32(out.scale)
        # Clamped before it is rounded, so that no float lies outside the integers. Not-a-number becomes the lowest.
        real = np.where(real > low, np.minimum(real, high), low).astype(np.float64)
        rounded = np.copysign(np.floor(np.abs(real) + 0.5), real)
        return [(rounded.astype(np.int64) + out.zero_point).astype(out.dtype)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        if x.dtype != "float32":
            wide = "int16" in (x.dtype, out.dtype)
            return replace(rescale_call(x, out), overlaps=over(x, out)) if wide else super().lower(node, graph)
        fields = (("count", x.size), ("scale", float(out.scale)), ("zero_point", out.zero_point))
        params = Struct("itg_quantize_params", fields)
        return Call("quantize", f"itg_quantize_f32_{SUFFIX[out.dtype]}", (Buf(x.name), Buf(out.name), params))

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("QUANTIZE", node.inputs, "QuantizeOptions", {}, 2)

    def forward(self, *xs: Any) -> Any:
        return xs[0]
