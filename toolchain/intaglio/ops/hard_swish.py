"""HARD_SWISH: x * relu6(x + 3) / 6 (Howard et al., MobileNetV3, 2019), in the 16-bit fixed point of TFLM's kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, DTypeName, Tensor
from .base import NARROWEST, TfliteOp
from .elementwise import Unary, saturate16, wrap16
from .fixed import quantize_multiplier, rounding_shift

if TYPE_CHECKING:
    from ..graph import Graph, Node

EXTRA_BITS = 7
"""A 9-bit input fills 16 bits when shifted left by this."""


@dataclass(frozen=True)
class HardSwish(Unary):
    """inputs: x int8 or float32; output: of the same dtype and shape."""

    name: ClassVar[str] = "hard_swish"
    tflite: ClassVar[tuple[str, ...]] = ("HARD_SWISH",)
    narrowest_input: ClassVar[float] = NARROWEST
    finest: ClassVar[Mapping[DTypeName, float]] = {"int8": 2.0**-6, "int16": 2.0**-6}
    """It rescales in 16 bits, and TFLM refuses outputs finer than 1/128 of its input."""

    def check_int8(self, x: Tensor, out: Tensor) -> list[str]:
        # Shifts of a 16-bit number; TFLM itself refuses a positive one for the output.
        if not -15 <= _to_output(x, out)[1] <= 0:
            return [f"its output scale {out.scale} is too far from its input scale {x.scale}"]
        if not -15 <= _to_gate(x)[1] <= 30:
            return [f"its input scale {x.scale} is outside what 16-bit fixed point takes"]
        return []

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        wide = wrap16(q - x.zero_point << EXTRA_BITS)
        multiplier, shift = _to_output(x, out)
        scaled = _high_mul16(wide, multiplier)
        gate_multiplier, gate_shift = _to_gate(x)
        gate = wide
        # x / 3 as Q0.15. The last bit of a left shift comes after the product, so that only it saturates what counts.
        if gate_shift > 0:
            gate = saturate16(gate << gate_shift - 1)
        gate = _high_mul16(gate, gate_multiplier)
        gate = saturate16(gate << 1) if gate_shift > 0 else rounding_shift(gate, -gate_shift)
        gate = gate + (1 << 15) >> 1  # from [-1, 1] to [0, 1]
        product = gate * scaled
        y = np.sign(product) * (np.abs(product) >> 15)  # towards zero: this product alone does not round
        return np.clip(wrap16(rounding_shift(y, -shift) + out.zero_point), -128, 127)

    def real(self, x: Array) -> Array:
        return np.asarray(x * np.clip(x + 3, 0, 6) / 6)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp("HARD_SWISH", node.inputs, "HardSwishOptions")

    def forward(self, *xs: Any) -> Any:
        import torch.nn.functional as F

        return F.hardswish(xs[0])


def _to_output(x: Tensor, out: Tensor) -> tuple[int, int]:
    """(16-bit multiplier, shift) from the widened input to the output's scale."""
    return factor16(x.scale / (1 << EXTRA_BITS) / out.scale)


def _to_gate(x: Tensor) -> tuple[int, int]:
    """(16-bit multiplier, shift) from the widened input to a scale at which 3 is 2**15."""
    return factor16(x.scale / (1 << EXTRA_BITS) / (3 / (1 << 15)))


def factor16(real: float) -> tuple[int, int]:
    multiplier, shift = quantize_multiplier(real)
    return min(multiplier + (1 << 15) >> 16, (1 << 15) - 1), shift


def _high_mul16(a: Array, b: int) -> Array:
    """round(a * b / 2**15), half up."""
    return a * b + (1 << 14) >> 15
