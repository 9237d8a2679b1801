"""CONV2D_BORDERS."""

import numpy as np
from harness import const, graph_of

from cases import INTEGERS, Cases, conv2d
from intaglio.ops.conv2d_borders import Conv2DBorders


def classes(rng, n):
    """A class for each of n rows, counted from 0, each used."""
    found = rng.integers(0, int(rng.integers(1, 5)), n)
    return tuple(int(c) for c in np.unique(found, return_inverse=True)[1])


def case(rng):
    plain = conv2d.case(rng)
    node = plain.nodes[0]
    x, w = (plain.tensors[n] for n in node.inputs[:2])
    out = plain.tensors[node.outputs[0]]
    rows, columns = classes(rng, out.shape[1]), classes(rng, out.shape[2])
    op = Conv2DBorders(node.op.stride, node.op.dilation, node.op.pads, node.op.activation, rows, columns)
    shape = (max(rows) + 1, max(columns) + 1, out.shape[3])
    return graph_of(op, [x, w, const("b", rng.integers(-20000, 20000, shape).astype(np.int32))], [out])


CASES = (Cases(Conv2DBorders, case, INTEGERS, oracle=False),)
