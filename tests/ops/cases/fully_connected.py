"""FULLY_CONNECTED."""

import numpy as np
from elementwise_cases import decimal, halfway
from harness import act, const, graph_of

from cases import WIDE, Cases
from intaglio.graph import Quant
from intaglio.ops.fully_connected import FullyConnected


def case(rng):
    in_c, out_c = int(rng.integers(1, 40)), int(rng.integers(1, 12))
    keep = rng.random() < 0.4
    op = FullyConnected(str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"])), bool(keep))
    leading = tuple(int(v) for v in rng.integers(1, 4, int(rng.integers(1, 4))))
    shape = (*leading, in_c)
    if not keep and rng.random() < 0.3:
        shape = (1, 2, in_c, 3)  # rows of in_c taken across dimensions
    x = act(rng, "x", shape)
    scales = np.float32(np.exp(rng.uniform(-7, -2, out_c if rng.random() < 0.5 else 1)))
    quant = Quant(tuple(float(s) for s in scales), (0,) * len(scales), 0 if len(scales) > 1 else None)
    w = const("w", rng.integers(-128, 128, (out_c, in_c)).astype(np.int8), quant)
    bias_quant = Quant(tuple(float(np.float32(x.scale) * s) for s in scales), quant.zero_point, quant.axis)
    b = const("b", rng.integers(-20000, 20000, out_c).astype(np.int32), bias_quant) if rng.random() < 0.7 else None
    spread = x.scale * float(scales.max()) * 128 * np.sqrt(in_c)
    out = act(rng, "y", op.infer([x, w, b], [])[0][0], scale=spread * np.exp(rng.uniform(-3, 1)))
    return graph_of(op, [x, w, b], [out])


def halves(rng):
    """One weight of 1 a row and scales like 0.07: sums half way between two outputs, see `halfway`."""
    x = act(rng, "x", (200, 2), scale=decimal(rng))
    scales = tuple(decimal(rng) for _ in range(int(rng.integers(1, 3))))
    quant = Quant(scales, (0,) * len(scales), 0 if len(scales) > 1 else None)
    w = const("w", np.eye(2, dtype=np.int8), quant)
    return graph_of(FullyConnected(), [x, w], [act(rng, "y", (200, 2), scale=halfway(rng, x.scale * scales[0]))])


CASES = (Cases(FullyConnected, case, WIDE, halves=halves),)
