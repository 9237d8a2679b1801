"""LAYER_NORM."""

import numpy as np
from elementwise_cases import decimal, halfway
from harness import act, const, graph_of

from cases import Cases
from intaglio.graph import Quant
from intaglio.ops.instance_norm import InstanceNorm
from intaglio.ops.layer_norm import LayerNorm
from intaglio.ops.normalization import MAX_SCALE, fraction_bits


def layer_op(rng):
    shape = [(1, 5), (4, 64), (1, 3, 4, 6), (2, 7, 33), (1, 1)][int(rng.integers(5))]
    return shape, LayerNorm(float(np.float32(10.0 ** rng.uniform(-12, -1))), int(rng.integers(1, len(shape))))


def instance_op(rng):
    shape = [(1, 5, 7, 3), (2, 4, 4, 5), (1, 9, 2), (1, 1, 1, 4), (1, 2, 3, 2, 2)][int(rng.integers(5))]
    return shape, InstanceNorm(float(np.float32(10.0 ** rng.uniform(-12, -1))))


def case(rng, kind):
    shape, op = (layer_op if kind is LayerNorm else instance_op)(rng)
    x = act(rng, "x", shape, scale=decimal(rng) if rng.random() < 0.5 else None)
    affine = shape[-op.dims :] if kind is LayerNorm else shape[-1:]
    step = float(np.float32(np.exp(rng.uniform(-9, -5))))
    scale = const("scale", rng.integers(-MAX_SCALE, MAX_SCALE + 1, affine).astype(np.int16), Quant((step,), (0,)))
    unit = step * 2.0 ** -fraction_bits(op.count(x))
    most = int(rng.choice([0, 1000, 1 << 24, 1 << 29]))
    offset = const("offset", rng.integers(-most, most + 1, affine).astype(np.int32), Quant((unit,), (0,)))
    # A quarter with the normalized numbers themselves half way between two outputs.
    even = rng.random() < 0.25
    out_scale = halfway(rng, unit * 4096) if even else step * MAX_SCALE * float(np.exp(rng.uniform(-6, -2)))
    ins = [x, scale, offset] if rng.random() < 0.8 else [x, scale]
    return graph_of(op, ins, [act(rng, "y", shape, scale=out_scale)])


CASES = (Cases(LayerNorm, lambda rng: case(rng, LayerNorm), oracle=False),)
