"""What LAYER_NORM and INSTANCE_NORM share: numbers brought to a mean of 0 and a variance of 1, then scaled and shifted.

No runtime defines them in int8. The meaning here, for a group of N inputs q with one mean (zero points cancel):

    W      = N * sum(q^2) - sum(q)^2 + E         variance times (N / in_scale)^2; E is epsilon times that, rounded
    s      = floor(sqrt(W * 4^k))                k such that s is in [2^30, 2^31)
    m      = floor(2^61 / s)
    norm   = round((N * q - sum(q)) * m / 2^(61 - k - F))         half up; the normalized number with F fraction bits
    output = requantize(norm * scale + offset) + zero point

The two floors make `norm` too small or too large by less than 2^-29 of itself. `scale` is an int16 constant of at most
12 bits, its scale S; `offset` is int32 at S * 2^-F. F leaves norm, at most sqrt(N), 18 bits: all sums fit 32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..graph import Array, Quant, Tensor, constant
from .base import FieldValue, Ins, Op, Outs, arr, need
from .fixed import accumulator_problem, clamp_to, quantize_multiplier, requantize
from .float32 import float_problems, is_float, rounded
from .integer import int8_problems

NORM_BITS = 18
MAX_SCALE = (1 << 11) - 1
"""Largest magnitude in an int16 scale: times a norm of 18 bits it leaves room for the offset."""
OFFSET_LIMIT = 1 << 29
"""An offset stays below this, so that it and the scaled numbers fit 32 bits together."""
MAX_COUNT = (1 << 17) - 1
"""So many squares of an int8 number fit 32 bits."""


@dataclass(frozen=True)
class Normalization(Op):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset; the variance divides by N."""

    input_names: ClassVar[tuple[str, ...]] = ("x", "scale", "offset")
    optional: ClassVar[int] = 2
    trainable: ClassVar[tuple[int, ...]] = (1, 2)
    parameters: ClassVar[tuple[int, ...]] = (1, 2)
    epsilon: float = 1e-5

    def groups(self, x: Tensor) -> tuple[tuple[int, ...], int]:
        """The shape that x is seen in, and the dimension of it along which a group lies; scale and offset, flattened,
        belong to the last dimension."""
        raise NotImplementedError

    def count(self, x: Tensor) -> int:
        """Inputs with one mean."""
        shape, axis = self.groups(x)
        return shape[axis]

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        if is_float(ins, outs):
            return float_problems(ins, outs)
        if len(ins) < 2 or ins[1] is None:
            return ["it has no scale, which its integer form needs"]
        x, scale, offset = need(ins[0]), need(ins[1]), _offset(ins)
        if problems := int8_problems(ins[:1], outs):
            return problems
        if self.count(x) > MAX_COUNT:
            return [f"it has means of {self.count(x)} numbers; {MAX_COUNT} are supported"]
        if not 0 <= self.epsilon * (self.count(x) / x.scale) ** 2 < 2.0**60:
            return [f"its epsilon {self.epsilon} is out of proportion to its input scale {x.scale}"]
        if not (scale.is_const and scale.dtype == "int16" and scale.quant is not None and scale.quant.per_tensor):
            return [f"{scale.name} must be an int16 constant with one scale"]
        if scale.zero_point != 0 or np.abs(arr(scale.data).astype(int)).max() > MAX_SCALE:
            return [f"{scale.name} must have a zero point of 0 and numbers of at most {MAX_SCALE}"]
        bound = (1 << NORM_BITS) * MAX_SCALE
        if offset is not None:
            unit = scale.scale * 2.0 ** -fraction_bits(self.count(x))
            if not (offset.is_const and offset.dtype == "int32" and offset.quant and offset.quant.per_tensor):
                return [f"{offset.name} must be an int32 constant with one scale"]
            if offset.zero_point != 0 or offset.scale != unit:
                return [f"{offset.name} must have the scale {unit} and a zero point of 0"]
            bound += int(np.abs(arr(offset.data).astype(np.int64)).max())
        problem = accumulator_problem(bound, [self.factor(x, scale, outs[0])])
        return [problem] if problem else []

    def reach(self, widths: Sequence[float], ins: Ins) -> float:
        scale, *offset = (np.abs(np.asarray(t.data, np.float64)).max() for t in ins[1:] if t is not None)
        return float(scale * self.count(need(ins[0])) ** 0.5 + sum(offset))

    def quantized_parameters(self, ins: Ins) -> list[Tensor]:
        """int16 scales of 12 bits, int32 offsets. The largest scale is MAX_SCALE steps, or fewer where an offset needs
        the room."""
        scale = arr(need(ins[1]).data).astype(np.float64)
        offset = None if _offset(ins) is None else arr(need(ins[2]).data).astype(np.float64)
        bits = fraction_bits(self.count(need(ins[0])))
        step = float(np.abs(scale).max()) / MAX_SCALE
        if offset is not None:
            step = max(step, float(np.abs(offset).max()) / OFFSET_LIMIT * 2.0**bits)
        # In float32, so that the file and the graph agree; never 0, and the offset's scale stays a normal number.
        step = float(max(np.nextafter(np.float32(step), np.float32(np.inf)), np.float32(1e-30)))
        found = [constant("scale", np.round(scale / step).astype(np.int16), Quant((step,), (0,)))]
        if offset is not None:
            unit = step * 2.0**-bits
            found.append(constant("offset", np.round(offset / unit).astype(np.int32), Quant((unit,), (0,))))
        return found

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        x, out = need(ins[0]), outs[0]
        shape, axis = self.groups(x)
        offset = xs[2] if len(xs) > 2 and xs[2] is not None else np.zeros(1, np.int64)
        scale, offset = arr(xs[1]).reshape(-1), arr(offset).reshape(-1)
        if is_float(ins, outs):
            real = arr(xs[0]).astype(np.float64).reshape(shape)
            variance = real.var(axis=axis, keepdims=True)
            norm = (real - real.mean(axis=axis, keepdims=True)) / np.sqrt(variance + float(np.float32(self.epsilon)))
            return [rounded(norm * scale + offset).reshape(x.shape)]
        norm = self.normalized(arr(xs[0]).astype(np.int64).reshape(shape), axis, x)
        y = requantize(norm * scale.astype(np.int64) + offset.astype(np.int64), *self.factor(x, need(ins[1]), out))
        return [clamp_to(y + out.zero_point, -128, 127).reshape(x.shape)]

    def normalized(self, q: Array, axis: int, x: Tensor) -> Array:
        """int64 `q` of x -> its numbers at mean 0 and variance 1, with `fraction_bits` of the group's size."""
        n = self.count(x)
        total = q.sum(axis=axis, keepdims=True)
        wide = n * np.square(q).sum(axis=axis, keepdims=True) - total**2 + self.epsilon_steps(x)
        pairs = (62 - np.asarray(_bit_length(wide), np.int64)) >> 1
        root = np.asarray(_isqrt(wide << 2 * pairs), np.int64)
        shift = 61 - pairs - fraction_bits(n)
        return np.asarray(((n * q - total) * ((1 << 61) // root) + (np.int64(1) << shift - 1)) >> shift)

    def epsilon_steps(self, x: Tensor) -> int:
        """Epsilon in the unit of W, at least 1: nothing is divided by zero."""
        return max(1, round(self.epsilon * (self.count(x) / x.scale) ** 2))

    def factor(self, x: Tensor, scale: Tensor, out: Tensor) -> tuple[int, int]:
        return quantize_multiplier(scale.scale * 2.0 ** -fraction_bits(self.count(x)) / out.scale)

    def fields_s8(self, ins: Ins, out: Tensor) -> tuple[tuple[str, FieldValue], ...]:
        """What both int8 kernels take besides sizes; the 64-bit epsilon as two halves."""
        x = need(ins[0])
        multiplier, shift = self.factor(x, need(ins[1]), out)
        epsilon = self.epsilon_steps(x)
        return (
            ("epsilon_high", epsilon >> 30), ("epsilon_low", epsilon & (1 << 30) - 1),
            ("fraction_bits", fraction_bits(self.count(x))),
            ("multiplier", multiplier), ("shift", shift), ("out_offset", out.zero_point),
        )  # fmt: skip


def fraction_bits(count: int) -> int:
    """F for groups of `count`: NORM_BITS less those of sqrt(count), rounded up."""
    return NORM_BITS - ((count - 1).bit_length() + 1) // 2


def _offset(ins: Ins) -> Tensor | None:
    return ins[2] if len(ins) > 2 else None


# Python's integers: exact at any size, and there is one of these a group.
_isqrt = np.frompyfunc(lambda v: math.isqrt(int(v)), 1, 1)
_bit_length = np.frompyfunc(lambda v: int(v).bit_length(), 1, 1)
