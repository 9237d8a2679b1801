"""MEAN."""

from dataclasses import replace

import numpy as np
from elementwise_cases import decimal, halfway
from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.mean import Mean


def case_of(rng, ranks, most):
    rank = int(rng.choice(ranks))
    shape = [int(d) for d in rng.integers(1, 8, rank)]
    count = int(rng.integers(1, min(most, rank) + 1))
    op = Mean(tuple(sorted(int(a) for a in rng.choice(rank, count, replace=False))), bool(rng.random() < 0.5))
    x = act(rng, "x", shape)
    y = act(rng, "y", op.infer([x], [])[0][0], scale=x.scale * np.exp(rng.uniform(-4, 2)))
    return graph_of(op, [x], [replace(y, quant=x.quant) if rng.random() < 0.3 else y])


def halves(rng):
    """Means of pairs at scales like 0.07: half way between two outputs, see `halfway`."""
    x = act(rng, "x", (1, 100, 2, 3), scale=decimal(rng))
    return graph_of(Mean((2,), False), [x], [act(rng, "y", (1, 100, 3), scale=halfway(rng, x.scale))])


def case(rng):
    """TFLM keeps the axes in an array of two, its indices in one of four."""
    return case_of(rng, [1, 2, 3, 4], 2)


def deep(rng):
    return case_of(rng, [3, 4, 5, 6], 6)


CASES = (Cases(Mean, case, WIDE, halves=halves, deep=deep),)
