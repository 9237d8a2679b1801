"""How calibration turns what it saw of a tensor into a range: one file a method, the module `minmax` aside, which needs
no histogram. Each has `choose(histogram) -> (low, high)`.
"""

from __future__ import annotations

import importlib
from typing import Literal, Protocol, cast, get_args

from ..histogram import Histogram

Method = Literal["minmax", "percentile", "mse", "entropy"]
DEFAULT_METHODS: dict[int, Method] = {8: "percentile", 16: "minmax"}
"""The method where none is named, by the bits of activations: the one with the best SQNR of the outputs over the models
of benchmarks/ptq.py. With 16 bits rounding is so small that clipping can only lose."""
NARROW: tuple[Method, ...] = ("mse", "entropy")
"""Methods that weigh clipping against the rounding of 8 bits, and mean nothing for 16."""
METHODS: tuple[Method, ...] = get_args(Method)


class Choice(Protocol):
    """What a module of this folder has."""

    def choose(self, histogram: Histogram, percentile: float) -> tuple[float, float]:
        """The range to quantize a tensor with; `percentile` is for the method of that name alone."""
        ...


def load(method: Method) -> Choice:
    """The module of a method that looks at histograms."""
    return cast(Choice, importlib.import_module(f"{__name__}.{method}"))
