"""RELU, RELU6 and RELU_N1_TO_1 as operators of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import Array, Tensor
from .activation import Activation, activation_range, torch_activation
from .base import Call, Op, TfliteOp, same_quant
from .elementwise import Unary
from .fixed import accumulator_problem, quantize_multiplier, requantize
from .float32 import float_range
from .integer import reach
from .rescale import rescale_call

if TYPE_CHECKING:
    from ..frontends.tflite import TfliteNode
    from ..graph import Graph, Node

BUILTIN: dict[Activation, str] = {"relu": "RELU", "relu6": "RELU6", "relu_n1_to_1": "RELU_N1_TO_1"}


@dataclass(frozen=True)
class Relu(Unary):
    """inputs: x int8, int16 or float32; output: the same dtype and shape, clamped to what `activation` (not none)
    leaves."""

    name: ClassVar[str] = "relu"
    tflite: ClassVar[tuple[str, ...]] = tuple(BUILTIN.values())
    activation: Activation = "relu"

    def check_int8(self, x: Tensor, out: Tensor) -> list[str]:
        if self.activation == "relu6" and not same_quant(x, out):
            # TFLM's RELU6 clamps bytes and never looks at the output's quantization, where TFLite rescales.
            return ["its output must be quantized as its input is: runtimes disagree on what RELU6 does otherwise"]
        problem = accumulator_problem(reach(x), [quantize_multiplier(x.scale / out.scale)])
        return [problem] if problem else []

    check_int16 = check_int8

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        y = requantize(q - x.zero_point, *quantize_multiplier(x.scale / out.scale)) + out.zero_point
        return np.asarray(np.clip(y, *activation_range(self.activation, out)))

    def call_int16(self, x: Tensor, out: Tensor) -> Call:
        return rescale_call(x, out, activation_range(self.activation, out))

    def real(self, x: Array) -> Array:
        low, high = float_range(self.activation)
        return np.asarray(np.clip(x, low, high))

    def constants(self) -> tuple[float, ...]:
        return float_range(self.activation)

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        kept = super().from_tflite(n)[1]
        return cls(next(a for a, builtin in BUILTIN.items() if builtin == n.builtin)), kept

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        return TfliteOp(BUILTIN[self.activation], node.inputs)

    def forward(self, *xs: Any) -> Any:
        return torch_activation(xs[0], self.activation)
