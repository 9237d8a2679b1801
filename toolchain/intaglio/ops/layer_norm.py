"""LAYER_NORM: rows at mean 0 and variance 1 (Ba et al. 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import GraphError
from ..graph import Tensor
from .base import Arg, Buf, Call, Ins, Null, Outs, Refuse, Struct, TfliteOp, Types, need, over
from .float32 import is_float
from .normalization import Normalization

if TYPE_CHECKING:
    from ..graph import Array, Graph, Node
    from .channel_ties import ChannelTies


@dataclass(frozen=True)
class LayerNorm(Normalization):
    """inputs: x [..., *s], scale [*s], offset [*s] or absent, where s are the last `dims` dimensions.

    Output: (x - mean) / sqrt(variance + epsilon) * scale + offset, a mean and a variance for each s. int8 or float32;
    see normalization.py for the integers.
    """

    name: ClassVar[str] = "layer_norm"
    dims: int = 1

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if not 1 <= self.dims <= len(x.shape):
            raise GraphError(x.name, f"a layer norm over the last {self.dims} of {len(x.shape)} dimensions")
        for t in ins[1:]:
            if t is not None and t.shape != x.shape[-self.dims :]:
                raise GraphError(t.name, f"its shape is {t.shape}", f"{x.shape[-self.dims :]}")
        return [(x.shape, x.dtype)]

    def groups(self, x: Tensor) -> tuple[tuple[int, ...], int]:
        count = math.prod(x.shape[-self.dims :])
        return (x.size // count, count), 1

    def lower(self, node: Node, graph: Graph) -> Call:
        ins, out = graph.ins(node), graph.outs(node)[0]
        x = need(ins[0])
        (rows, count), _ = self.groups(x)
        sizes = (("rows", rows), ("row_size", count))
        tensors = norm_arguments(node)
        if is_float([x], [out]):
            params = Struct("itg_layer_norm_f32_params", (*sizes, ("epsilon", float(self.epsilon))))
            return Call("layer_norm_f32", "itg_layer_norm_f32", (*tensors, params), overlaps=over(x, out))
        params = Struct("itg_layer_norm_s8_params", (*sizes, *self.fields_s8(ins, out)))
        return Call("layer_norm", "itg_layer_norm_s8", (*tensors, params), overlaps=over(x, out))

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        raise Refuse("TFLite has no LAYER_NORM")

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        offset = xs[2] if len(xs) > 2 else None
        return F.layer_norm(xs[0], tuple(xs[1].shape), xs[1], offset, self.epsilon)

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        # The mean and the variance of a row need all of it.
        x = need(ins[0])
        if ties.axis(x) >= len(x.shape) - self.dims:
            return ties.blocked(ins[:1], outs)
        return [ties.of(x)]


def norm_arguments(node: Node) -> tuple[Arg, ...]:
    """Input, scale, offset and output of a normalization's kernel."""
    offset = Buf(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else Null()
    return Buf(node.inputs[0]), Buf(node.inputs[1]), offset, Buf(node.outputs[0])
