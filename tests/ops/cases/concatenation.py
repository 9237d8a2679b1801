"""CONCATENATION."""

from dataclasses import replace

from deep import some_shape
from harness import act, const, graph_of

from cases import WIDE, Cases
from intaglio.ops.concatenation import Concatenation


def case(rng):
    rank = int(rng.integers(1, 5))
    shape = [int(d) for d in rng.integers(1, 6, rank)]
    axis = int(rng.integers(0, rank))
    dtype = str(rng.choice(["int8", "int8", "int8", "int16", "int32"]))
    first = act(rng, "x0", shape, dtype)
    xs = []
    for k in range(int(rng.integers(1, 7))):
        part = tuple(int(rng.integers(1, 6)) if d == axis else n for d, n in enumerate(shape))
        if k > 0 and rng.random() < 0.2:
            xs.append(const(f"x{k}", rng.integers(-100, 100, part).astype(dtype), first.quant))
        else:
            xs.append(replace(first, name=f"x{k}", shape=part))
    if len(xs) > 1 and rng.random() < 0.2:
        xs.append(xs[0])
    op = Concatenation(axis)
    out = replace(first, name="y", shape=op.infer(xs, [])[0][0])
    return graph_of(op, xs, [out])


def deep(rng):
    shape = some_shape(rng)
    axis = int(rng.integers(len(shape)))
    x = act(rng, "a", shape)
    y = replace(x, name="b", shape=(*shape[:axis], 2, *shape[axis + 1 :]))
    op = Concatenation(axis)
    return graph_of(op, [x, y], [replace(x, name="y", shape=op.infer([x, y], [])[0][0])])


CASES = (Cases(Concatenation, case, WIDE, deep=deep),)
