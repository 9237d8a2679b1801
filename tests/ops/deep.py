"""What the modules of cases/ make graphs of five and six dimensions with."""

from __future__ import annotations

from dataclasses import replace

from harness import act, graph_of

from intaglio.graph import Tensor


def some_shape(rng, low=5, high=7, sizes=(1, 2, 3)):
    return tuple(int(d) for d in rng.choice(sizes, int(rng.integers(low, high))))


def one(op, x, like=None):
    """The operator on `x`; the output is quantized as `x` is, or `like` another tensor."""
    shape, dtype = op.infer([x], [])[0]
    return graph_of(op, [x], [replace(x if like is None else like, name="y", shape=shape, dtype=dtype)])


def two(op):
    """Cases of an operator on two inputs, one of which is broadcast."""

    def make(rng):
        shape = some_shape(rng)
        other = shape[3:] if rng.random() < 0.5 else (1, *shape[1:-1], 1)
        a, b = act(rng, "a", shape), act(rng, "b", other)
        alike = op.name in ("maximum", "minimum")
        b = replace(b, quant=a.quant) if alike else b
        out = replace(a, name="y", shape=op.infer([a, b], [])[0][0])
        return graph_of(op, [a, b], [out if alike else act(rng, "y", out.shape, scale=0.3)])

    return make


def rows(op, quant):
    """Cases of an operator along the last dimension, or one by one, with an output of this quantization."""
    return lambda rng: one(op, act(rng, "x", some_shape(rng), scale=0.05), Tensor("y", (), "int8", quant))
