"""Random cases for operators on one tensor or on two that broadcast; shared by their tests."""

from __future__ import annotations

import numpy as np
from files import read_back
from floats import check_forward
from harness import act, const, graph_of

ACTIVATIONS = ["none", "none", "relu", "relu6", "relu_n1_to_1"]


def decimal(rng, most=20):
    """A scale like 0.07. Ratios of these put results half way between two integers but for the last bits of a float:
    how a kernel rounds its scales then decides."""
    return float(np.float32(int(rng.integers(1, most)) / 100))


def halfway(rng, real):
    """An output scale with which many multiples of `real` lie half way between two integers, but for the last bits."""
    return float(np.float32(real * int(rng.choice([2, 4, 6, 8])) / int(rng.choice([1, 3, 5, 7]))))


def unary_case(rng, op, scale=None, out_scale=None, out_zero=None):
    """256 elements and more, so that most of the 256 inputs occur in each case."""
    shape = [(1, 256), (300,), (1, 5, 7, 8), (2, 3, 50)][int(rng.integers(4))]
    even = rng.random() < 0.5
    x = act(rng, "x", shape, scale=decimal(rng) if scale is None and even else scale)
    if out_scale is None:
        out_scale = decimal(rng) if even else x.scale * np.exp(rng.uniform(-2, 2))
    return graph_of(op, [x], [act(rng, "y", shape, scale=out_scale, zero_point=out_zero)])


def unary(op):
    """Cases of one operator."""
    return lambda rng: unary_case(rng, op)


def positive(rng, op, out_scale=None):
    """No input below zero: the domain of roots and logarithms."""
    x = act(rng, "x", (1, 300), zero_point=-128, scale=decimal(rng) if rng.random() < 0.5 else None)
    y = act(rng, "y", x.shape, scale=out_scale(x) if out_scale else decimal(rng))
    return graph_of(op, [x], [y])


def above_zero(x):
    """Floats in that domain."""
    return np.abs(x) + np.float32(1e-3)


def broadcast_shapes(rng):
    """Two shapes of rank 0 to 4: equal, a scalar, a channel vector, or with sizes of 1 anywhere in either."""
    full = [int(v) for v in rng.integers(1, 7, int(rng.integers(1, 5)))]
    kind = int(rng.integers(5))
    if kind == 0:
        a, b = full, full
    elif kind == 1:
        a, b = full, []
    elif kind == 2:
        a, b = full, full[-1:]
    else:
        a = [1 if rng.random() < 0.3 else d for d in full]
        b = [1 if rng.random() < 0.3 else d for d in full]
        b = b[int(rng.integers(0, len(b))) :] if kind == 4 else b
    return (tuple(a), tuple(b)) if rng.random() < 0.5 else (tuple(b), tuple(a))


def binary_case(rng, op, out_scale, alike=False):
    """`out_scale(a, b)` gives the middle of the output's scales; `alike` quantizes all three the same."""
    shapes = broadcast_shapes(rng)
    even = not alike and rng.random() < 0.5
    a = act(rng, "a", shapes[0], scale=decimal(rng) if even else None)
    b = act(rng, "b", shapes[1], scale=a.scale if alike else decimal(rng) if even else None,
            zero_point=a.zero_point if alike else None)  # fmt: skip
    which = int(rng.integers(4))
    if which == 0:
        b = const("b", rng.integers(-128, 128, b.shape).astype(np.int8), b.quant)
    elif which == 1:
        a = const("a", rng.integers(-128, 128, a.shape).astype(np.int8), a.quant)
    shape = op.infer([a, b], [])[0][0]
    if alike:
        out = act(rng, "y", shape, scale=a.scale, zero_point=a.zero_point)
    elif even:
        out = act(rng, "y", shape, scale=decimal(rng, 60))
    else:
        out = act(rng, "y", shape, scale=out_scale(a, b) * np.exp(rng.uniform(-3, 2)))
    return graph_of(op, [a, b], [out])


def check_float_and_file(make_case, cases=20, steps=1.5):
    """The float meaning agrees with the integer one, and the node survives being written to a .tflite and read."""
    for i in range(cases):
        rng = np.random.default_rng([7, i])
        graph = make_case(rng)
        check_forward(graph, rng, steps, batched=False)
        back = read_back(graph)
        assert back.op == graph.nodes[0].op and back.inputs == graph.nodes[0].inputs


def activation(rng):
    return str(rng.choice(ACTIVATIONS))
