"""DEPTH_TO_SPACE."""

from dataclasses import replace

from harness import act, graph_of

from cases import Cases
from intaglio.ops.depth_to_space import DepthToSpace


def case(rng, kind=DepthToSpace, block=None):
    b = int(rng.integers(1, 4)) if block is None else block
    h, w, c = (int(v) for v in rng.integers(1, 6, 3))
    shape = (1, h, w, c * b * b) if kind is DepthToSpace else (1, h * b, w * b, c)
    x = act(rng, "x", shape)
    op = kind(b)
    return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])


CASES = (Cases(DepthToSpace, case),)
