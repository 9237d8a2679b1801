"""RELU, RELU6 and RELU_N1_TO_1 as operators of their own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..graph import DTYPES, Array, Tensor
from .activation import Activation, activation_range, torch_activation
from .base import Call, Op, TfliteOp, need, same_quant
from .elementwise import Unary
from .fixed import accumulator_problem, float32_ratio, quantize_multiplier, requantize
from .float32 import float_range
from .integer import reach
from .maximum import Maximum
from .minimum import Minimum
from .portable import Form, Parts, Runtime, lacking
from .rescale import rescale_call

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .tflite_node import TfliteNode

BUILTIN: dict[Activation, str] = {"relu": "RELU", "relu6": "RELU6", "relu_n1_to_1": "RELU_N1_TO_1"}


@dataclass(frozen=True)
class Relu(Unary):
    """inputs: x int8, int16 or float32; output: the same dtype and shape, clamped to what `activation` (not none)
    leaves."""

    name: ClassVar[str] = "relu"
    tflite: ClassVar[tuple[str, ...]] = tuple(BUILTIN.values())
    homogeneous: ClassVar[bool] = True
    is_clamp: ClassVar[bool] = True
    activation: Activation = "relu"

    @property
    def shares_quant(self) -> bool:
        # TFLM's RELU6 never rescales.
        return self.activation == "relu6"

    @property
    def clamps_alike(self) -> bool:
        return True

    def check_int8(self, x: Tensor, out: Tensor) -> list[str]:
        if self.activation == "relu6" and not same_quant(x, out):
            # TFLM's RELU6 clamps bytes and never looks at the output's quantization, where TFLite rescales.
            return ["its output must be quantized as its input is: runtimes disagree on what RELU6 does otherwise"]
        problem = accumulator_problem(reach(x), [quantize_multiplier(x.scale / out.scale)])
        return [problem] if problem else []

    check_int16 = check_int8

    def values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        return self._scaled(q, x, out, x.scale / out.scale)

    def _scaled(self, q: Array, x: Tensor, out: Tensor, factor: float) -> Array:
        y = requantize(q - x.zero_point, *quantize_multiplier(factor)) + out.zero_point
        return np.asarray(np.clip(y, *activation_range(self.activation, out)))

    def litert_values(self, q: Array, x: Tensor, out: Tensor) -> Array:
        return self._scaled(q, x, out, float32_ratio(x.scale, out.scale))

    def lacks(self, x: Tensor, out: Tensor) -> dict[Runtime, str]:
        beyond: dict[Runtime, str] = {"tflm": "has no RELU_N1_TO_1"} if self.activation == "relu_n1_to_1" else {}
        return {**super().lacks(x, out), **beyond}

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        x, out = need(graph.ins(node)[0]), graph.outs(node)[0]
        why = lacking(self.lacks(x, out), runtimes)
        if not why or (x.dtype != "float32" and not same_quant(x, out)):
            return super().portable(node, graph, runtimes)
        # On one grid a clamp moves nothing: it is MAXIMUM and MINIMUM.
        parts = Parts(node, graph)
        low, high = (-1.0, 1.0) if x.dtype == "float32" else activation_range(self.activation, out)
        ends = [parts.const(np.full((1,) * len(x.shape), v, DTYPES[x.dtype]), x.quant) for v in (low, high)]
        parts.add(Minimum(), (parts.add(Maximum(), (x.name, ends[0])), ends[1]))
        return parts.form(f"MAXIMUM and MINIMUM: {why}")

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
