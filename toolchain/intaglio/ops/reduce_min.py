"""REDUCE_MIN over any dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .reduced_extremum import ReducedExtremum


@dataclass(frozen=True)
class ReduceMin(ReducedExtremum):
    """inputs: (x,), int8 or float32; output: the smallest over `axes`, quantized as x is."""

    name: ClassVar[str] = "reduce_min"
    tflite: ClassVar[tuple[str, ...]] = ("REDUCE_MIN",)
    sign: ClassVar[int] = -1
