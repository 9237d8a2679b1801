"""UNPACK."""

from dataclasses import replace

from harness import act, graph_of

from cases import WIDE, Cases
from intaglio.ops.unpack import Unpack


def case(rng, dtypes=("int8", "int8", "int16", "int32", "float32")):
    # The oracle gives no scalars.
    shape = [int(d) for d in rng.integers(1, 6, int(rng.integers(2, 5)))]
    axis = int(rng.integers(0, len(shape)))
    x = act(rng, "x", shape, str(rng.choice(dtypes)))
    op = Unpack(axis, shape[axis])
    outs = [replace(x, name=f"y{k}", shape=s) for k, (s, _) in enumerate(op.infer([x], []))]
    return graph_of(op, [x], outs)


CASES = (Cases(Unpack, lambda rng: case(rng, ("int8",)), WIDE),)
