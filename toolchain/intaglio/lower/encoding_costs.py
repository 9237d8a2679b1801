"""What a kernel for weights costs: bytes of code, and an estimate of its instructions.

lower/encodings/costs.json has both for each kernel, measured on the Cortex-M4 (benchmarks/encoded_weights.py writes
it). The estimate is the sum over what a kernel does, how often times the instructions of one; on what it was fitted to,
it is within 5 % for most layers, 19 % for the worst.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from ..graph import Array
from ..ops.base import Call, Const, Num, Struct

BIT_LENGTHS = np.array([i.bit_length() for i in range(256)])
FILE = Path(__file__).parent / "encodings" / "costs.json"


@cache
def _costs() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(FILE.read_text())
    return found


def measured(kernel: str) -> bool:
    """Whether it is a kernel whose costs are known; others have only one way to hold their weights."""
    return kernel in _costs()


def code_bytes(kernel: str) -> int:
    """Flash of a kernel's code. Raises KeyError for kernels without weights."""
    return int(_costs()[kernel]["code"])


def instructions(call: Call, weights: Array) -> float:
    """Estimated instructions of a call with int8 weights [rows][columns]. Raises KeyError as `code_bytes` does."""
    costs = _costs()[call.kernel]
    return sum(costs.get(what, 0.0) * times for what, times in work(call, weights).items())


def work(call: Call, weights: Array) -> dict[str, float]:
    """How often a kernel does what takes time, by the names in costs.json.

    row: an output channel; tap: a place of a filter, for all its channels; weight, nonzero: once for each, in
    FULLY_CONNECTED for each row of the input; stream: 16 bits of codes; table: bytes of tables; entry: 4 bytes of a
    decoder's scratch; mask: bits of a bitmap up to the last nonzero of each byte. position; output; run: neighbouring
    products in a loop of their own; product; listed: products of a list of nonzeros; border: weights summed up at the
    borders of the input.
    """
    p = {key: int(v) for a in call.args if isinstance(a, Struct) for key, v in a.fields if isinstance(v, int)}
    rows, columns = weights.shape
    nonzeros = np.count_nonzero(weights, axis=1)
    arrays = {a.suffix: a.data for a in call.args if isinstance(a, Const) and a.weights}
    none = np.zeros(0, np.uint8)
    decoded = {
        "stream": arrays.get("stream", none).size,
        "table": arrays.get("tables", none).size,
        "entry": sum(s.nbytes for s in call.scratches if s.dtype == "int32") // 4,
        "mask": int(BIT_LENGTHS[arrays.get("bitmap", none)].sum()),
    }
    if "kernel_h" not in p:
        n = p["rows"]
        each = {"row": n * rows, "weight": n * rows * columns, "nonzero": n * int(nonzeros.sum())}
        return {**each, **decoded}
    y_taps, y_inside = _axis(p["out_h"], p["stride_h"], p["pad_top"], p["kernel_h"], p["dilation_h"], p["in_h"])
    x_taps, x_inside = _axis(p["out_w"], p["stride_w"], p["pad_left"], p["kernel_w"], p["dilation_w"], p["in_w"])
    inside = y_inside * x_inside  # positions of a window that lies wholly inside
    outer = (y_taps * x_taps - inside * p["kernel_h"] * p["kernel_w"]) * p["group_in_c"]
    positions = p["out_h"] * p["out_w"]
    size = next((int(a.value) for a in call.args if isinstance(a, Num)), -1)
    listed = nonzeros <= size
    runs = p["kernel_h"] * (1 if p["dilation_w"] * p["in_c"] == p["group_in_c"] else p["kernel_w"])
    taps = rows * p["kernel_h"] * p["kernel_w"]
    once = {"row": rows, "tap": taps, "weight": rows * columns, "nonzero": int(nonzeros.sum()), **decoded}
    return {
        # As they are, weights are taken position by position; otherwise row by row.
        **(once if arrays else {"position": positions}),
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
