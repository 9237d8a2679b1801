"""PRELU."""

import numpy as np
from elementwise_cases import decimal, halfway
from harness import act, const, graph_of

from cases import Cases
from intaglio.ops.prelu import PRelu


def case(rng):
    """An alpha a channel, for all of them, or for all elements; now and then computed at run time."""
    shape = tuple(int(v) for v in rng.integers(1, 8, int(rng.integers(2, 5))))
    even = rng.random() < 0.5
    x = act(rng, "x", shape, scale=decimal(rng) if even else None)
    kind = int(rng.integers(4))
    alpha_shape = [(shape[-1],), (1,) * (len(shape) - 2) + (shape[-1],), shape[1:], shape][kind]
    alpha = act(rng, "alpha", alpha_shape, scale=decimal(rng, 5) if even else None)
    if rng.random() < 0.8:
        alpha = const("alpha", rng.integers(-128, 128, alpha_shape).astype(np.int8), alpha.quant)
    out_scale = halfway(rng, x.scale) if even else x.scale * np.exp(rng.uniform(-2, 2))
    return graph_of(PRelu(), [x, alpha], [act(rng, "y", shape, scale=out_scale)])


CASES = (Cases(PRelu, case),)
