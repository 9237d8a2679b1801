"""The C call that brings integers to another scale, where 16 bits are on either side: too many for a table."""

from __future__ import annotations

from ..graph import INT_RANGE, Tensor
from .base import Buf, Call, Struct
from .fixed import quantize_multiplier
from .integer import SUFFIX


def rescale_call(x: Tensor, out: Tensor, bounds: tuple[int, int] | None = None) -> Call:
    """out = x at out's scale and zero point, clamped to `bounds` or to what out can hold."""
    multiplier, shift = quantize_multiplier(x.scale / out.scale)
    low, high = bounds or INT_RANGE[out.dtype]
    fields = (
        ("count", x.size),
        ("in_offset", -x.zero_point), ("multiplier", multiplier), ("shift", shift),
        ("out_offset", out.zero_point), ("out_min", low), ("out_max", high),
    )  # fmt: skip
    between = SUFFIX[x.dtype] if x.dtype == out.dtype else f"{SUFFIX[x.dtype]}_{SUFFIX[out.dtype]}"
    return Call("rescale", f"itg_rescale_{between}", (Buf(x.name), Buf(out.name), Struct("itg_rescale_params", fields)))
