"""Functions of one number without a fixed-point definition of their own: in 8 bits the float function, tabulated.

TFLite fills its int8 tables like this (ELU, GELU): the real number that a byte stands for, the function, the nearest
byte, each step in float32. Operators that TFLite has in floats only (EXP, SQRT) or not at all (SILU) mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..graph import INT_RANGE, Array, DTypeName, Tensor
from .base import TfliteOp
from .elementwise import Unary

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Curve(Unary):
    """inputs: x int8 or float32; output: of the same dtype and shape. A subclass gives `real`, and in C NAME_f32."""

    options: ClassVar[str] = ""
    """The table in a .tflite that goes with the operator; empty where it has none."""
    finest: ClassVar[Mapping[DTypeName, float]] = {"int8": 0.0, "int16": 0.0}
    """A table holds its function at any scale."""
    least: ClassVar[float] = -np.inf
    """Where the domain begins. An int8 input below counts as this number; a float32 one gives not-a-number."""

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        return tabulated(lambda v: self.real(np.maximum(v, self.least)), q, x, out)

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp(self.tflite[0], node.inputs, self.options)


def tabulated(real: Callable[[Array], Array], q: Array, x: Tensor, out: Tensor) -> Array:
    """`real` of the numbers that int64 `q` stands for, in out's integers: nearest, halves away from zero, clamped."""
    number = np.float32(x.scale) * (q - x.zero_point).astype(np.float32)
    with np.errstate(all="ignore"):  # infinity is clamped below
        y = np.asarray(real(number.astype(np.float64)), np.float32) * (np.float32(1) / np.float32(out.scale))
    low, high = INT_RANGE[out.dtype]
    steps = np.clip(y.astype(np.float64), 2 * low, -2 * low)
    return np.clip(np.copysign(np.floor(np.abs(steps) + 0.5), steps).astype(np.int64) + out.zero_point, low, high)
