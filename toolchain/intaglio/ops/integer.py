"""What operators share where their tensors are integers: int8, or int16 as in TFLite's 16x8 quantization."""

from __future__ import annotations

from ..graph import INT_RANGE, Tensor
from .base import Ins, Outs

SUFFIX = {"int8": "s8", "int16": "s16", "float32": "f32"}
"""How the functions of kernels end, by the dtype that they compute on."""


def kernel(stem: str, t: Tensor) -> tuple[str, str]:
    """(file stem, function) of the kernel that computes `stem` on tensors like t."""
    return stem if t.dtype == "int8" else f"{stem}_{SUFFIX[t.dtype]}", f"itg_{stem}_{SUFFIX[t.dtype]}"


def tensor_problem(t: Tensor) -> str:
    """Why an activation cannot take part in integer arithmetic: no scale of the whole tensor, or an int16 with a zero
    point."""
    if t.quant is None or not t.quant.per_tensor:
        return f"{t.name} must have one scale and one zero point"
    if t.dtype == "int16" and t.zero_point != 0:
        return f"{t.name} is int16 with the zero point {t.zero_point}; it must be 0"
    return ""


def integer_problems(ins: Ins, outs: Outs) -> list[str]:
    """Why an operator cannot be executed in integers: dtypes other than int8 or int16, or unlike, or see above."""
    tensors = [t for t in (*ins, *outs) if t is not None]
    for t in tensors:
        if t.dtype not in ("int8", "int16"):
            return [f"{t.name} is {t.dtype}; int8, int16 and float32 are supported"]
        if t.dtype != tensors[0].dtype:
            return [f"it mixes {tensors[0].dtype} with {t.dtype} ({t.name})"]
        problem = tensor_problem(t)
        if problem:
            return [problem]
    return []


def int8_problems(ins: Ins, outs: Outs) -> list[str]:
    """The same for an operator that has no int16 form."""
    wide = [t for t in (*ins, *outs) if t is not None and t.dtype == "int16"]
    if wide:
        return [f"{wide[0].name} is int16; int8 and float32 are supported"]
    return integer_problems(ins, outs)


def reach(t: Tensor) -> int:
    """The largest magnitude of an element minus its zero point."""
    low, high = INT_RANGE[t.dtype]
    return max(t.zero_point - low, high - t.zero_point)
