"""RESIZE_BILINEAR."""

from dataclasses import replace

from harness import act, graph_of

from cases import Cases
from intaglio.ops.resize_bilinear import ResizeBilinear


def case(rng):
    size = tuple(int(v) for v in rng.integers(1, 24, 2))
    mode = int(rng.integers(3))
    op = ResizeBilinear(size, mode == 1, mode == 2)
    x = act(rng, "x", (1, *(int(v) for v in rng.integers(1, 14, 2)), int(rng.integers(1, 5))))
    return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])


CASES = (Cases(ResizeBilinear, case),)
