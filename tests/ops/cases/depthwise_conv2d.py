"""DEPTHWISE_CONV2D."""

import numpy as np
from elementwise_cases import decimal, halfway
from harness import act, const, graph_of

from cases import WIDE, Cases
from intaglio.graph import Quant
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.window import same_pads


def case(rng):
    in_c, multiplier = int(rng.integers(1, 7)), int(rng.choice([1, 1, 2, 3]))
    out_c = in_c * multiplier
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    dilation = tuple(int(v) for v in rng.integers(1, 4, 2))
    # TFLite pairs dilation with a stride of 1, but nothing in the kernel needs that.
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    if rng.random() < 0.5:
        hw = tuple(int(v) for v in rng.integers(1, 9, 2))  # smaller than the window now and then
        pads = same_pads(hw, kernel, stride, dilation)
    else:
        hw = tuple((k - 1) * d + 1 + int(rng.integers(0, 7)) for k, d in zip(kernel, dilation, strict=True))
        pads = (0, 0, 0, 0)
    op = DepthwiseConv2D(stride, dilation, pads, str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"])))
    x = act(rng, "x", (1, *hw, in_c))
    scales = np.float32(np.exp(rng.uniform(-7, -2, out_c if rng.random() < 0.7 else 1)))
    quant = Quant(tuple(float(s) for s in scales), (0,) * len(scales), 3 if len(scales) > 1 else None)
    w = const("w", rng.integers(-128, 128, (1, *kernel, out_c)).astype(np.int8), quant)
    bias_scales = tuple(float(np.float32(x.scale) * s) for s in scales)
    bias_quant = Quant(bias_scales, quant.zero_point, 0 if len(scales) > 1 else None)
    b = const("b", rng.integers(-20000, 20000, out_c).astype(np.int32), bias_quant) if rng.random() < 0.7 else None
    spread = x.scale * float(scales.max()) * 128 * np.sqrt(kernel[0] * kernel[1])
    out = act(rng, "y", op.infer([x, w, b], [])[0][0], scale=spread * np.exp(rng.uniform(-3, 1)))
    return graph_of(op, [x, w, b], [out])


def halves(rng):
    """Weights of 1 and scales like 0.07: sums half way between two outputs, see `halfway`."""
    x = act(rng, "x", (1, 20, 10, 2), scale=decimal(rng))
    scales = tuple(decimal(rng) for _ in range(int(rng.integers(1, 3))))
    w = const("w", np.ones((1, 1, 1, 2), np.int8), Quant(scales, (0,) * len(scales), 3 if len(scales) > 1 else None))
    return graph_of(DepthwiseConv2D(), [x, w], [act(rng, "y", (1, 20, 10, 2), scale=halfway(rng, x.scale * scales[0]))])


CASES = (Cases(DepthwiseConv2D, case, WIDE, halves=halves),)
