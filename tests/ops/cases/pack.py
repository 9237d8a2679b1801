"""PACK."""

from dataclasses import replace

from harness import act, const, graph_of

from cases import WIDE, Cases
from intaglio.ops.pack import Pack


def case(rng, dtypes=("int8", "int8", "int16", "int32", "float32")):
    shape = [int(d) for d in rng.integers(1, 6, int(rng.integers(1, 4)))]
    first = act(rng, "x0", shape, str(rng.choice(dtypes)))
    xs = [first]
    for k in range(1, int(rng.integers(1, 7))):
        if first.dtype != "float32" and rng.random() < 0.2:
            xs.append(const(f"x{k}", rng.integers(-100, 100, shape).astype(first.dtype), first.quant))
        else:
            xs.append(replace(first, name=f"x{k}"))
    if len(xs) > 1 and rng.random() < 0.2:
        xs.append(xs[0])
    op = Pack(int(rng.integers(0, len(shape) + 1)))
    return graph_of(op, xs, [replace(first, name="y", shape=op.infer(xs, [])[0][0])])


CASES = (Cases(Pack, lambda rng: case(rng, ("int8",)), WIDE),)
