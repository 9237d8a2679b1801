"""CONV2D."""

import numpy as np
from elementwise_cases import decimal, halfway
from harness import act, const, graph_of

from cases import WIDE, Cases
from intaglio.graph import Quant
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.window import same_pads


def case(rng):
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    in_c, out_c = groups * int(rng.integers(1, 5)), groups * int(rng.integers(1, 5))
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    dilation = tuple(int(v) for v in rng.integers(1, 3, 2))
    hw = tuple(int(k - 1) * d + 1 + int(rng.integers(0, 7)) for k, d in zip(kernel, dilation, strict=True))
    pads = same_pads(hw, kernel, stride, dilation) if rng.random() < 0.5 else (0, 0, 0, 0)
    op = Conv2D(stride, dilation, pads, str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"])))
    x = act(rng, "x", (1, *hw, in_c))
    per_channel = rng.random() < 0.7
    scales = np.float32(np.exp(rng.uniform(-7, -2, out_c if per_channel else 1)))
    quant = Quant(tuple(float(s) for s in scales), (0,) * len(scales), 0 if len(scales) > 1 else None)
    w = const("w", rng.integers(-127, 128, (out_c, *kernel, in_c // groups)).astype(np.int8), quant)
    bias_quant = Quant(tuple(float(np.float32(x.scale) * s) for s in scales), (0,) * len(scales), quant.axis)
    b = const("b", rng.integers(-20000, 20000, out_c).astype(np.int32), bias_quant) if rng.random() < 0.7 else None
    shape = op.infer([x, w, b], [])[0][0]
    # A fine output scale saturates, a coarse one flattens: both happen in the field.
    spread = x.scale * float(scales.max()) * 128 * np.sqrt(w.size / out_c)
    out = act(rng, "y", shape, scale=spread * np.exp(rng.uniform(-3, 1)))
    return graph_of(op, [x, w, b], [out])


def halves(rng):
    """Weights of 1 and scales like 0.07: sums half way between two outputs, see `halfway`."""
    x = act(rng, "x", (1, 20, 10, 1), scale=decimal(rng))
    scales = tuple(decimal(rng) for _ in range(int(rng.integers(1, 3))))
    w = const("w", np.ones((2, 1, 1, 1), np.int8), Quant(scales, (0,) * len(scales), 0 if len(scales) > 1 else None))
    return graph_of(Conv2D(), [x, w], [act(rng, "y", (1, 20, 10, 2), scale=halfway(rng, x.scale * scales[0]))])


CASES = (Cases(Conv2D, case, WIDE, halves=halves),)
