"""REDUCE_MAX over any dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .reduced_extremum import ReducedExtremum


@dataclass(frozen=True)
class ReduceMax(ReducedExtremum):
    """inputs: (x,), int8 or float32; output: the largest over `axes`, quantized as x is."""

    name: ClassVar[str] = "reduce_max"
    tflite: ClassVar[tuple[str, ...]] = ("REDUCE_MAX",)
    sign: ClassVar[int] = 1
