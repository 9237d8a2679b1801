"""What a kernel for weights costs: bytes of code, and an estimate of its instructions.

lower/encodings/costs.json has both for each kernel, measured on the Cortex-M4 (benchmarks/encodings.py writes it). The
estimate is the sum over what a kernel does, how often times the instructions of one.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from ..graph import Array
from ..ops.base import Call, Num, Struct

FILE = Path(__file__).parent / "encodings" / "costs.json"


@cache
def _costs() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(FILE.read_text())
    return found


def code_bytes(kernel: str) -> int:
    """Flash of a kernel's code. Raises KeyError for kernels without weights."""
    return int(_costs()[kernel]["code"])


def instructions(call: Call, weights: Array) -> float:
    """Estimated instructions of a call with int8 weights [rows][columns]. Raises KeyError as `code_bytes` does."""
    costs = _costs()[call.kernel]
    return sum(costs.get(what, 0.0) * times for what, times in work(call, weights).items())


def work(call: Call, weights: Array) -> dict[str, float]:
    """How often a kernel does what takes time, by the names in costs.json.

    call; row: an output channel; weight and nonzero: once for each, in FULLY_CONNECTED for each row of the input;
    output; run: neighbouring products in a loop of their own; product; listed: products of a list of nonzeros;
    border: weights summed up at the borders of the input.
    """
    p = {key: int(v) for a in call.args if isinstance(a, Struct) for key, v in a.fields if isinstance(v, int)}
    rows, columns = weights.shape
    nonzeros = np.count_nonzero(weights, axis=1)
    if "kernel_h" not in p:
        n = p["rows"]
        return {"call": 1, "row": n * rows, "weight": n * rows * columns, "nonzero": n * int(nonzeros.sum())}
    y_taps, y_inside = _axis(p["out_h"], p["stride_h"], p["pad_top"], p["kernel_h"], p["dilation_h"], p["in_h"])
    x_taps, x_inside = _axis(p["out_w"], p["stride_w"], p["pad_left"], p["kernel_w"], p["dilation_w"], p["in_w"])
    inside = y_inside * x_inside  # positions of a window that lies wholly inside
    outer = (y_taps * x_taps - inside * p["kernel_h"] * p["kernel_w"]) * p["group_in_c"]
    positions = p["out_h"] * p["out_w"]
    size = next((int(a.value) for a in call.args if isinstance(a, Num)), -1)
    listed = nonzeros <= size
    runs = p["kernel_h"] * (1 if p["dilation_w"] * p["in_c"] == p["group_in_c"] else p["kernel_w"])
    return {
        "call": 1,
        "row": rows,
        "weight": rows * columns,
        "nonzero": int(nonzeros.sum()),
        "output": rows * positions,
        "run": runs * (rows * (positions - inside) + int((~listed).sum()) * inside),
        "product": rows * outer + int((~listed).sum()) * inside * columns,
        "listed": int(nonzeros[listed].sum()) * inside,
        "border": rows * outer,
    }


def _axis(out: int, stride: int, pad: int, kernel: int, dilation: int, size: int) -> tuple[int, int]:
    """Taps inside the input at all positions along an axis, and the positions at which all are."""
    at = np.arange(out)[:, None] * stride - pad + np.arange(kernel) * dilation
    inside = (at >= 0) & (at < size)
    return int(inside.sum()), int(inside.all(axis=1).sum())
