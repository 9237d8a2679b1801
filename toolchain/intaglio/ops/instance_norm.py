"""INSTANCE_NORM: each channel of an image at mean 0 and variance 1 (Ulyanov et al. 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import GraphError
from ..graph import Tensor
from .base import Call, Ins, Outs, Refuse, Struct, TfliteOp, Types, need, over
from .float32 import is_float
from .layer_norm import norm_arguments
from .normalization import Normalization

if TYPE_CHECKING:
    from ..graph import Array, Graph, Node
    from .channel_ties import ChannelTies


@dataclass(frozen=True)
class InstanceNorm(Normalization):
    """inputs: x [n][...][c] with at least one dimension between, scale [c], offset [c] or absent.

    Output: (x - mean) / sqrt(variance + epsilon) * scale + offset, a mean and a variance for each channel of each
    image. int8 or float32; see normalization.py for the integers.
    """

    name: ClassVar[str] = "instance_norm"

    def infer(self, ins: Ins, outs: Outs) -> Types:
        x = need(ins[0])
        if len(x.shape) < 3:
            raise GraphError(x.name, f"an instance norm of the shape {x.shape}", "[n][...][c]")
        for t in ins[1:]:
            if t is not None and t.shape != x.shape[-1:]:
                raise GraphError(t.name, f"its shape is {t.shape}", f"{x.shape[-1:]}")
        return [(x.shape, x.dtype)]

    def groups(self, x: Tensor) -> tuple[tuple[int, ...], int]:
        return (x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]), 1

    def lower(self, node: Node, graph: Graph) -> Call:
        ins, out = graph.ins(node), graph.outs(node)[0]
        x = need(ins[0])
        (images, pixels, channels), _ = self.groups(x)
        sizes = (("images", images), ("pixels", pixels), ("channels", channels))
        tensors = norm_arguments(node)
        if is_float([x], [out]):
            params = Struct("itg_instance_norm_f32_params", (*sizes, ("epsilon", float(self.epsilon))))
            return Call("instance_norm_f32", "itg_instance_norm_f32", (*tensors, params), overlaps=over(x, out))
        params = Struct("itg_instance_norm_s8_params", (*sizes, *self.fields_s8(ins, out)))
        return Call("instance_norm", "itg_instance_norm_s8", (*tensors, params), overlaps=over(x, out))

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        raise Refuse("TFLite has no INSTANCE_NORM")

    def forward(self, *xs: Any) -> Any:
        x, scale = xs[0], xs[1]
        dims = tuple(range(1, x.ndim - 1))
        centred = x - x.mean(dim=dims, keepdim=True)
        norm = centred * (centred.square().mean(dim=dims, keepdim=True) + self.epsilon).rsqrt()
        return norm * scale + xs[2] if len(xs) > 2 and xs[2] is not None else norm * scale

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        x = need(ins[0])
        numbers = ties.along(x, len(x.shape) - 1)
        for t in ins[1:]:
            ties.cut(t, 0, numbers)
        return [ties.spread(numbers, x.shape, len(x.shape) - 1)]
