"""STRIDED_SLICE."""

from dataclasses import replace

from deep import one, some_shape
from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.strided_slice import ALL, StridedSlice


def case(rng):
    rank = int(rng.integers(1, 5))
    shape = [int(d) for d in rng.integers(1, 8, rank)]
    begin, size, stride, shrink = [], [], [], []
    for d, n in enumerate(shape):
        taken = range(n)
        if rng.random() < 0.7:
            taken = range(int(rng.integers(0, n)), n, int(rng.integers(1, 4)))
            taken = taken[: int(rng.integers(1, len(taken) + 1))]
        if rng.random() < 0.3:
            taken = taken[::-1]
        if len(taken) == 1 and rng.random() < 0.4:
            shrink.append(d)
        begin.append(taken[0])
        size.append(ALL if taken == range(n) else len(taken))
        stride.append(taken.step if len(taken) > 1 else 1)
    x = act(rng, "x", shape, str(rng.choice(["int8", "int8", "int16", "int32"])))
    op = StridedSlice(tuple(begin), tuple(size), tuple(stride), tuple(shrink))
    return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])


def deep(rng):
    shape = some_shape(rng, sizes=(2, 3, 4))
    begin = tuple(int(rng.integers(0, n)) for n in shape)
    size = tuple(int(rng.integers(1, n - b + 1)) for b, n in zip(begin, shape, strict=True))
    shrink = tuple(d for d, n in enumerate(size) if n == 1 and rng.random() < 0.3)[:2]
    return one(StridedSlice(begin, size, (1,) * len(shape), shrink), act(rng, "x", shape))


CASES = (Cases(StridedSlice, case, WIDE, deep=deep),)
