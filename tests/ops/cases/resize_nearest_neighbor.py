"""RESIZE_NEAREST_NEIGHBOR."""

from dataclasses import replace

from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.resize_nearest_neighbor import ResizeNearestNeighbor


def case(rng):
    size = tuple(int(v) for v in rng.integers(1, 24, 2))
    align = bool(rng.random() < 0.4)
    op = ResizeNearestNeighbor(size, align, bool(rng.random() < 0.5))
    x = act(rng, "x", (1, *(int(v) for v in rng.integers(1, 14, 2)), int(rng.integers(1, 5))),
            str(rng.choice(["int8", "int8", "int16"])))  # fmt: skip
    return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])


CASES = (Cases(ResizeNearestNeighbor, case, WIDE),)
