"""What a kernel for weights costs: bytes of code, and an estimate of its instructions.

targets/CORE/weights.json has both for each kernel, measured (benchmarks/encoded_weights.py writes it); a core without
one is taken for a Cortex-M4. A kernel that is not in it brings its own (Kernel.costs). The estimate counts how often a
kernel does each kind of work, and adds up what that takes. Of the layers that it was fitted to, it is within 5 % for
most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from .. import assets
from ..graph import Array
from ..ops.base import Call, Const, Num, Struct

FILE = "weights.json"
BIT_LENGTHS = np.array([i.bit_length() for i in range(256)])
CORE = "cortex-m4"
WINDOWS = 4
"""ITG_CONV2D_WINDOWS of conv2d_row.h."""


@dataclass(frozen=True)
class Cost:
    """Of one call."""

    code_bytes: int
    """Of the kernel, which all calls of it share."""
    instructions: float
    """Of an inference; estimated."""


def counted_on(core: str) -> str:
    """The core whose counts stand for those of `core`: itself, if they were measured there."""
    return core if (assets.root() / "targets" / core / FILE).is_file() else CORE


@cache
def measured(core: str) -> dict[str, dict[str, float]]:
    """By kernel: `code`, its bytes of flash, and the instructions of each kind of `work`."""
    text = (assets.root() / "targets" / counted_on(core) / FILE).read_text()
    found: dict[str, dict[str, float]] = json.loads(text)
    return found


def cost(call: Call, weights: Array, each: Mapping[str, float]) -> Cost:
    """Of a call with int8 weights [rows][columns], by what each kind of work takes."""
    times = work(call, weights)
    return Cost(int(each["code"]), sum(each.get(what, 0.0) * n for what, n in times.items()))


def work(call: Call, weights: Array) -> dict[str, float]:
    """How often a kernel does each kind of work, by its name in weights.json.

    row: an output channel; tap: a place of a filter, for all its channels; weight, nonzero: once for each, in
    FULLY_CONNECTED for each row of the input; stream: 16 bits of codes; table: bytes of tables; entry: 4 bytes of a
    decoder's scratch; mask: bits of a bitmap up to the last nonzero of each byte. position; output; run: neighbouring
    products in a loop of their own; product; border: products at the borders of the input. For filters that are taken
    as a list of nonzeros: listed, products at windows that are summed together (WINDOWS); single, products at other
    windows; segment, a row of the filter at the border.
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
    unlisted, entries = int((~listed).sum()), int(nonzeros[listed].sum())
    together = y_inside * (x_inside - x_inside % WINDOWS)
    runs = p["kernel_h"] * (1 if p["dilation_w"] * p["in_c"] == p["group_in_c"] else p["kernel_w"])
    taps = rows * p["kernel_h"] * p["kernel_w"]
    once = {"row": rows, "tap": taps, "weight": rows * columns, "nonzero": int(nonzeros.sum()), **decoded}
    return {
        # As they are, weights are taken position by position; otherwise row by row.
        **(once if arrays else {"position": positions}),
        "output": rows * positions,
        "run": runs * unlisted * positions,
        "product": unlisted * (outer + inside * columns),
        "border": unlisted * outer,
        "listed": entries * together,
        # Nonzeros are taken to be as frequent at the taps inside as at the others.
        "single": entries * (inside - together) + round(entries * outer / columns),
        "segment": int(listed.sum()) * p["kernel_h"] * (positions - inside),
    }


def _axis(out: int, stride: int, pad: int, kernel: int, dilation: int, size: int) -> tuple[int, int]:
    """Taps inside the input at all positions along an axis, and the positions at which all are."""
    at = np.arange(out)[:, None] * stride - pad + np.arange(kernel) * dilation
    inside = (at >= 0) & (at < size)
    return int(inside.sum()), int(inside.all(axis=1).sum())
