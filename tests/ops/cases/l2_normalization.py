"""L2_NORMALIZATION."""

from deep import rows
from harness import act, graph_of

from cases import Cases
from intaglio.graph import Quant
from intaglio.ops.l2_normalization import L2Normalization


def case(rng):
    x = act(rng, "x", [(1, 5), (1, 300), (3, 17), (1, 2, 3, 8), (1, 1)][int(rng.integers(5))])
    return graph_of(L2Normalization(), [x], [act(rng, "y", x.shape, scale=1 / 128, zero_point=0)])


CASES = (Cases(L2Normalization, case, deep=rows(L2Normalization(), Quant((1 / 128,), (0,)))),)
