"""Geometry of sliding windows: what convolutions and pooling share.

Pads are explicit in a Graph, (top, bottom, left, right); TFLite's SAME and VALID are translated at the door.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph import Array, Tensor
from .base import Refuse

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
NO_PADS: Pads = (0, 0, 0, 0)
MAX_SIDE = 1 << 16
MAX_PADDED = 1 << 24
"""Pixels of a padded input: what a damaged padding or dilation could ask the reference to allocate."""


def effective(kernel: int, dilation: int) -> int:
    """Extent of a dilated kernel."""
    return (kernel - 1) * dilation + 1


def out_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    return (size + before + after - effective(kernel, dilation)) // stride + 1


def out_hw(hw: Pair, kernel: Pair, stride: Pair, dilation: Pair, pads: Pads) -> Pair:
    """Output height and width. Raises GraphError when the window does not fit."""
    if any(not 1 <= v <= MAX_SIDE for v in (*kernel, *stride, *dilation)) or any(not 0 <= v <= MAX_SIDE for v in pads):
        found = f"kernel {kernel}, stride {stride}, dilation {dilation}, pads {pads}"
        raise GraphError("window", found, "positive sizes")
    h = out_size(hw[0], kernel[0], stride[0], dilation[0], pads[0], pads[1])
    w = out_size(hw[1], kernel[1], stride[1], dilation[1], pads[2], pads[3])
    if (hw[0] + pads[0] + pads[1]) * (hw[1] + pads[2] + pads[3]) > MAX_PADDED:
        raise GraphError("window", f"{hw} padded by {pads}", f"{MAX_PADDED} pixels at most")
    if h < 1 or w < 1:
        raise GraphError("window", f"a {kernel} window, dilated {dilation}, does not fit {hw} padded by {pads}")
    return h, w


def added(a: Pads, b: Pads) -> Pads:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])


def same_pads(hw: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    """TFLite's SAME: ceil(size / stride) outputs, the odd pad at the bottom and right."""
    found: list[int] = []
    for size, k, s, d in zip(hw, kernel, stride, dilation, strict=True):
        total = max(0, (-(-size // s) - 1) * s + effective(k, d) - size)
        found += [total // 2, total - total // 2]
    return found[0], found[1], found[2], found[3]


def read_padding(code: int, hw: Pair, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Pads:
    """Pads for a TFLite Padding code (0 SAME, 1 VALID). Raises Refuse for sizes that make no sense."""
    if any(not 1 <= v <= MAX_SIDE for v in (*kernel, *stride, *dilation)):
        raise Refuse(f"kernel {kernel}, stride {stride}, dilation {dilation}: each must be in 1..{MAX_SIDE}")
    if code not in (0, 1):
        raise Refuse(f"padding code {code} is neither SAME (0) nor VALID (1)")
    return same_pads(hw, kernel, stride, dilation) if code == 0 else (0, 0, 0, 0)


def tflite_padding(pads: Pads, hw: Pair, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> int | None:
    """The TFLite Padding code that gives `pads`, or None when only an explicit PAD can."""
    if pads == (0, 0, 0, 0):
        return 1
    return 0 if pads == same_pads(hw, kernel, stride, dilation) else None


def position_lag(x: Tensor, out: Tensor, stride: Pair, dilation: Pair, pads: Pads) -> int:
    """For kernels that make one position of `out` [n][h][w][c] after another: how many bytes before x `out` must begin,
    so that no position overwrites what it or a later one reads.

    Halving a 48x48x8 input by a window of 2x2 needs none: what is written is always behind what is read.
    """
    pixel, out_pixel = (t.nbytes // (t.shape[1] * t.shape[2]) for t in (x, out))
    first = []
    for size, n, step, apart, before in zip(
        x.shape[1:3], out.shape[1:3], stride, dilation, (pads[0], pads[2]), strict=True
    ):
        at = np.arange(n, dtype=np.int64) * step - before
        # The first tap inside the input; where none is, the last pixel stands for it.
        first.append(np.minimum(np.where(at < 0, at + -(at // apart) * apart, at), size - 1))
    read = ((first[0][:, None] * x.shape[2] + first[1]) * pixel).ravel()
    ahead = np.minimum.accumulate(read[::-1])[::-1]
    written = np.arange(1, len(read) + 1, dtype=np.int64) * out_pixel
    return max(0, int((written - ahead).max()))


def patches(x: Array, kernel: Pair, stride: Pair, dilation: Pair, pads: Pads, fill: float) -> Array:
    """All windows of x [n][h][w][c] padded with `fill`: a view [n][out_h][out_w][kernel_h][kernel_w][c]."""
    padded = np.pad(x, ((0, 0), (pads[0], pads[1]), (pads[2], pads[3]), (0, 0)), constant_values=fill)
    extent = (effective(kernel[0], dilation[0]), effective(kernel[1], dilation[1]))
    windows = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return np.asarray(windows.transpose(0, 1, 2, 4, 5, 3))


def alike_everywhere(windows: Array) -> Array:
    """bool [c]: whether all windows [n][h][w][kh][kw][c] see the same of a channel."""
    return np.asarray((windows == windows[:, :1, :1]).all(axis=(0, 1, 2, 3, 4)))


def rows_of(windows: Array, most: int) -> Array:
    """Windows [n][h][w][kh][kw][c] -> float64 [rows][kh * kw][c]: of many rows about `most`, evenly spread."""
    n, h, w, kh, kw, c = windows.shape
    # Picked from the view: a copy of all windows may not fit memory.
    at = np.arange(0, n * h * w, -(-n * h * w // most))
    rows = windows[at // (h * w), at // w % h, at % w].reshape(len(at), kh * kw, c)
    return np.asarray(rows.astype(np.float64))


def torch_nchw(x: Any, pads: Pads, fill: float = 0.0) -> Any:
    """A torch tensor NHWC -> padded NCHW."""
    import torch.nn.functional as F

    x = x.permute(0, 3, 1, 2)
    if any(pads):
        x = F.pad(x, (pads[2], pads[3], pads[0], pads[1]), value=fill)
    return x


def hw_of(shape: Sequence[int]) -> Pair:
    """Height and width of an NHWC shape. Raises GraphError for another rank."""
    if len(shape) != 4:
        raise GraphError("window", f"the input has shape {tuple(shape)}", "four dimensions, NHWC")
    return shape[1], shape[2]
