"""Random cases that SUM, REDUCE_MAX and REDUCE_MIN share."""

from dataclasses import replace

import numpy as np
from elementwise_cases import decimal, halfway
from harness import act, graph_of

from intaglio.ops.reduce_sum import ReduceSum


def reduction_case(rng, kind, ranks=(1, 2, 3, 4), most=2):
    rank = int(rng.choice(ranks))
    shape = [int(d) for d in rng.integers(1, 8, rank)]
    count = int(rng.integers(1, min(most, rank) + 1))
    op = kind(tuple(sorted(int(a) for a in rng.choice(rank, count, replace=False))), bool(rng.random() < 0.5))
    even = rng.random() < 0.4
    x = act(rng, "x", shape, scale=decimal(rng) if even else None)
    y = replace(x, name="y", shape=op.infer([x], [])[0][0])
    if kind is ReduceSum:
        y = act(rng, "y", y.shape, scale=halfway(rng, x.scale) if even else x.scale * np.exp(rng.uniform(-2, 4)))
    return graph_of(op, [x], [y])
