"""L2_NORMALIZATION: each row divided by its Euclidean length."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import GraphError
from ..graph import Array, DTypeName, Quant
from .base import UNIT_INT16, Buf, Call, Ins, Op, Outs, Refuse, Struct, TfliteOp, Types, arr, need, over
from .fixed import clamp_to, requantize
from .float32 import float_problems, is_float, rounded
from .integer import int8_problems
from .inverse_sqrt import inverse_sqrt
from .movement import tensor_input
from .portable import Form, Parts, Runtime
from .reshape import Reshape

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .channel_ties import ChannelTies
    from .tflite_node import TfliteNode

OUTPUT_BITS = 7
OUTPUT_QUANT = Quant((2.0**-OUTPUT_BITS,), (0,))
MAX_ROW = (1 << 15) - 1
"""So many squares of 255 fit 32 bits."""
EPSILON = 1e-6
"""A float32 row's length counts as so much at least (TFLite's kernels)."""


@dataclass(frozen=True)
class L2Normalization(Op):
    """inputs: x [..., n], int8 or float32. Output: x / sqrt(sum of squares of the row), of the same dtype and shape;
    int8 has scale 1/128 and zero point 0."""

    name: ClassVar[str] = "l2_normalization"
    tflite: ClassVar[tuple[str, ...]] = ("L2_NORMALIZATION",)
    output_quants: ClassVar[Mapping[DTypeName, Quant]] = {"int8": OUTPUT_QUANT, "int16": UNIT_INT16}

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if not x.shape:
            raise GraphError(x.name, "a length of a scalar", "at least one dimension")
        return [(x.shape, x.dtype)]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        x, out = need(ins[0]), outs[0]
        if is_float(ins, outs):
            return float_problems(ins, outs)
        if problems := int8_problems(ins, outs):
            return problems
        if out.quant is None or (out.quant.scale, out.quant.zero_point) != (OUTPUT_QUANT.scale, (0,)):
            return ["its output must have scale 1/128 and zero point 0"]
        if x.shape[-1] > MAX_ROW:
            return [f"its rows have {x.shape[-1]} elements; {MAX_ROW} are supported"]
        return []

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        if is_float(ins, outs):
            real = arr(xs[0]).astype(np.float64)
            length = np.sqrt(np.square(real).sum(axis=-1, keepdims=True))
            return [rounded(real / np.maximum(length, EPSILON))]
        distance = arr(xs[0]).astype(np.int64) - need(ins[0]).zero_point
        multiplier, shift = inverse_sqrt(np.square(distance).sum(axis=-1, keepdims=True))
        return [clamp_to(requantize(distance, multiplier, shift + OUTPUT_BITS), -128, 127)]

    def lower(self, node: Node, graph: Graph) -> Call:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        n = x.shape[-1]
        sizes = (("rows", x.size // n), ("row_size", n))
        if is_float([x], [out]):
            params = Struct("itg_l2_normalization_f32_params", (*sizes, ("epsilon", EPSILON)))
            return Call(
                "l2_normalization_f32",
                "itg_l2_normalization_f32",
                (Buf(x.name), Buf(out.name), params),
                overlaps=over(x, out),
            )
        params = Struct("itg_l2_normalization_s8_params", (*sizes, ("in_offset", -x.zero_point)))
        return Call(
            "l2_normalization", "itg_l2_normalization_s8", (Buf(x.name), Buf(out.name), params), overlaps=over(x, out)
        )

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        tensor_input(n, 0)
        if n.options("L2NormOptions").FusedActivationFunction() != 0:
            raise Refuse("it has a fused activation, which TFLite's kernels do not apply")
        return cls(), (0,)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("L2_NORMALIZATION", node.inputs, "L2NormOptions", {"FusedActivationFunction": 0}, 2)

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        if len(x.shape) <= 4 or "tflm" not in runtimes:
            return None
        parts = Parts(node, graph)
        rows = parts.add(Reshape((x.size // x.shape[-1], x.shape[-1])), (x.name,))
        parts.add(Reshape(out.shape), (parts.add(self, (rows,), out),))
        return parts.form("as rows: TFLM takes four dimensions at most")

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        return F.normalize(xs[0], dim=-1, eps=EPSILON)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        # A row is divided by a sum over all of it.
        x = need(ins[0])
        return ties.blocked(ins, outs) if ties.axis(x) == len(x.shape) - 1 else [ties.of(x)]
