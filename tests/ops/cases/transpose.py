"""TRANSPOSE."""

from dataclasses import replace

from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.transpose import Transpose


def case_of(rng, ranks, dtypes):
    rank = int(rng.choice(ranks))
    shape = [int(d) for d in rng.choice([1, 2, 3, 4], rank)]
    x = act(rng, "x", shape, str(rng.choice(dtypes)))
    op = Transpose(tuple(int(p) for p in rng.permutation(rank)))
    return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])


def case(rng):
    return case_of(rng, [1, 2, 3, 4, 5], ["int8"])


def deep(rng):
    return case_of(rng, [6], ["int8"])


CASES = (Cases(Transpose, case, WIDE, deep=deep),)
