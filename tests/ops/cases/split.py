"""SPLIT."""

from dataclasses import replace

from deep import some_shape
from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.split import Split


def case(rng):
    rank = int(rng.integers(1, 5))
    axis = int(rng.integers(0, rank))
    count = int(rng.integers(1, 6))
    sizes = (int(rng.integers(1, 5)),) * count
    if rng.random() < 0.5:
        sizes = tuple(int(s) for s in rng.integers(1, 5, count))
    shape = [int(d) for d in rng.integers(1, 6, rank)]
    shape[axis] = sum(sizes)
    x = act(rng, "x", shape, str(rng.choice(["int8", "int8", "int16", "int32"])))
    op = Split(axis, sizes)
    outs = [replace(x, name=f"y{k}", shape=s) for k, (s, _) in enumerate(op.infer([x], []))]
    return graph_of(op, [x], outs)


def deep(rng):
    shape = some_shape(rng, sizes=(2, 3))
    axis = int(rng.integers(len(shape)))
    x = act(rng, "x", shape)
    op = Split(axis, (1, shape[axis] - 1))
    return graph_of(op, [x], [replace(x, name=f"y{k}", shape=s) for k, (s, _) in enumerate(op.infer([x], []))])


CASES = (Cases(Split, case, WIDE, deep=deep),)
