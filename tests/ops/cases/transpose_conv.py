"""TRANSPOSE_CONV."""

import numpy as np
from elementwise_cases import decimal, halfway
from harness import act, const, graph_of

from cases import WIDE, Cases
from intaglio.graph import Quant
from intaglio.ops.transpose_conv import TransposeConv
from intaglio.ops.window import same_pads


def case(rng, free=False):
    in_c, out_c = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    hw = tuple(int(v) for v in rng.integers(1, 7, 2))
    size = tuple((d - 1) * s + k for d, s, k in zip(hw, stride, kernel, strict=True))
    cut = (0, 0)
    if rng.random() < 0.5:
        # Any output from which SAME leads back to this input.
        size = tuple(int(d * s - rng.integers(0, s)) for d, s in zip(hw, stride, strict=True))
        pads = same_pads(size, kernel, stride, (1, 1))
        cut = (pads[0], pads[2])
    if free:
        cut = tuple(int(v) for v in rng.integers(0, 4, 2))
        size = tuple(int(v) for v in rng.integers(1, 20, 2))
    op = TransposeConv(size, stride, cut, str(rng.choice(["none", "none", "relu", "relu6"])))
    x = act(rng, "x", (1, *hw, in_c))
    scales = np.float32(np.exp(rng.uniform(-7, -2, out_c if rng.random() < 0.7 else 1)))
    quant = Quant(tuple(float(s) for s in scales), (0,) * len(scales), 0 if len(scales) > 1 else None)
    w = const("w", rng.integers(-127, 128, (out_c, *kernel, in_c)).astype(np.int8), quant)
    bias_quant = Quant(tuple(float(np.float32(x.scale) * s) for s in scales), (0,) * len(scales), quant.axis)
    b = const("b", rng.integers(-20000, 20000, out_c).astype(np.int32), bias_quant) if rng.random() < 0.7 else None
    spread = x.scale * float(scales.max()) * 128 * np.sqrt(w.size / out_c)
    out = act(rng, "y", op.infer([x, w, b], [])[0][0], scale=spread * np.exp(rng.uniform(-3, 1)))
    return graph_of(op, [x, w, b], [out])


def halves(rng):
    """Weights of 1 and scales like 0.07: sums half way between two outputs, see `halfway`."""
    x = act(rng, "x", (1, 20, 10, 1), scale=decimal(rng))
    scales = tuple(decimal(rng) for _ in range(int(rng.integers(1, 3))))
    w = const("w", np.ones((2, 1, 1, 1), np.int8), Quant(scales, (0,) * len(scales), 0 if len(scales) > 1 else None))
    out = act(rng, "y", (1, 20, 10, 2), scale=halfway(rng, x.scale * scales[0]))
    return graph_of(TransposeConv((20, 10)), [x, w], [out])


CASES = (Cases(TransposeConv, case, WIDE, halves=halves),)
