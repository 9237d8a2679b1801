"""Outputs that overlap their inputs in part: kernels that go position by position write behind what they read."""

import numpy as np
import pytest
from harness import act, check_cases, const
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio import pipeline
from intaglio.graph import Graph, Node, Quant, Tensor, verify
from intaglio.ops.average_pool2d import AveragePool2D
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.ops.window import position_lag
from intaglio.plan.arena import alive, lower_bound, place
from intaglio.plan.memory import plan
from intaglio.plan.storage import Group, Part, lags

QUANT = Quant((0.05,), (3,))


def chain(rng, layers=5, dtype="int8"):
    """Convolutions and pools one after another, with strides, dilations, pads, more channels and fewer."""
    floats = dtype == "float32"
    shape = (1, int(rng.integers(4, 9)), int(rng.integers(4, 9)), int(rng.integers(1, 6)))
    tensors = {"t0": act(rng, "t0", shape, dtype)}
    nodes = []
    while len(nodes) < layers:
        x = tensors[f"t{len(nodes)}"]
        _, h, w, c = x.shape
        kernel = tuple(int(rng.integers(1, min(n, 3) + 1)) for n in (h, w))
        stride = tuple(int(v) for v in rng.integers(1, 3, 2))
        pads = tuple(int(rng.integers(0, kernel[i // 2])) for i in range(4))
        names = [f"t{len(nodes)}"]
        kind = rng.choice(["conv2d", "depthwise_conv2d", "max_pool2d", "average_pool2d"])
        if kind in ("max_pool2d", "average_pool2d"):
            op = (MaxPool2D if kind == "max_pool2d" else AveragePool2D)(kernel, stride, pads)
        else:
            out_c = int(rng.integers(1, 12)) if kind == "conv2d" else c * int(rng.integers(1, 3))
            size = (out_c, *kernel, c) if kind == "conv2d" else (1, *kernel, out_c)
            data = rng.normal(size=size).astype(np.float32) if floats else rng.integers(-90, 90, size).astype(np.int8)
            w = const(f"w{len(nodes)}", data, None if floats else Quant((0.01,), (0,)))
            tensors[w.name] = w
            names.append(w.name)
            op = (Conv2D if kind == "conv2d" else DepthwiseConv2D)(stride, (1, 1), pads)
        out = op.infer([tensors[n] for n in names], [])[0][0]
        name = f"t{len(nodes) + 1}"
        if kind in ("conv2d", "depthwise_conv2d"):
            tensors[name] = act(rng, name, out, dtype, scale=0.5)
        else:
            tensors[name] = Tensor(name, out, dtype, x.quant)
        nodes.append(Node(f"{kind}{len(nodes)}", op, tuple(names), (name,)))
    return verify(Graph("case", tuple(nodes), tensors, ("t0",), (f"t{layers}",)), "float")


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_chains_that_overlap_wherever_they_can(dtype, monkeypatch):
    """The bytes of the reference, and ASan sees what leaves the arena."""
    overlapping = []

    def planned(graph):
        found = plan(graph, lags(graph))
        overlapping.append(len(lags(graph)))
        return found

    def case(rng):
        graph = chain(rng)
        if dtype == "int8":
            return graph
        wide = {
            n: Tensor(n, t.shape, "int16", Quant((t.scale,), (0,)) if t.quant else None)
            for n, t in graph.tensors.items()
            if not t.is_const
        }
        return Graph("case", graph.nodes, {**graph.tensors, **wide}, graph.inputs, graph.outputs)

    monkeypatch.setattr(pipeline, "plan", planned)
    check_cases(case, 100, seed=3, judge=False)
    assert sum(overlapping) > 2 * len(overlapping)


def test_an_arena_is_never_larger_for_it():
    smaller = 0
    for i in range(60):
        graph = pipeline.selected(chain(np.random.default_rng([5, i])), "host")
        with_, without = plan(graph).arena_bytes, plan(graph, ()).arena_bytes
        assert with_ <= without
        smaller += with_ < without
    assert smaller > 30


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_lag_is_enough_and_no_more(data):
    """Against a walk through all positions: what is read at one or later is never written before."""
    size, kernel = data.draw(st.tuples(*[st.integers(1, 7)] * 2)), data.draw(st.tuples(*[st.integers(1, 4)] * 2))
    stride, dilation = (data.draw(st.tuples(*[st.integers(1, 3)] * 2)) for _ in range(2))
    pads = tuple(data.draw(st.integers(0, 3)) for _ in range(4))
    pixel, out_pixel = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    out = [
        (n + pads[2 * i] + pads[2 * i + 1] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
        for i, n in enumerate(size)
    ]
    if min(out) < 1:
        return
    x, y = (Tensor(n, (1, *hw, c), "int8", QUANT) for n, hw, c in (("x", size, pixel), ("y", tuple(out), out_pixel)))
    lag = position_lag(x, y, stride, dilation, pads)
    assert lag >= 0
    reads = []
    for oy in range(out[0]):
        for ox in range(out[1]):
            rows = [oy * stride[0] - pads[0] + k * dilation[0] for k in range(kernel[0])]
            columns = [ox * stride[1] - pads[2] + k * dilation[1] for k in range(kernel[1])]
            inside = [
                (r * size[1] + c) * pixel
                for r in rows if 0 <= r < size[0] for c in columns if 0 <= c < size[1]
            ]  # fmt: skip
            reads.append(min(inside, default=None))
    needed = 0
    for i in range(len(reads)):
        ahead = [r for r in reads[i:] if r is not None]
        if ahead:
            needed = max(needed, (i + 1) * out_pixel - min(ahead))
    assert lag >= needed
    if None not in reads:
        assert lag == needed


@st.composite
def staircases(draw):
    """Groups of several parts, each beginning where the one before ends and lying wherever."""
    found = []
    for i in range(draw(st.integers(1, 9))):
        start, parts = draw(st.integers(-1, 15)), []
        for _ in range(draw(st.integers(1, 4))):
            end = start + draw(st.integers(0, 4))
            parts.append(Part(4 * draw(st.integers(0, 200)), 4 * draw(st.integers(1, 300)), start, end))
            start = end
        low = min(p.offset for p in parts)
        parts = [Part(p.offset - low, p.bytes, p.start, p.end) for p in parts]
        size = max(p.offset + p.bytes for p in parts)
        names = tuple(f"t{i}_{k}" for k in range(len(parts)))
        first, last = parts[0].start, max(p.end for p in parts)
        offsets = tuple(p.offset for p in parts)
        found.append(Group(names, size, 4, first, last, None, offsets, tuple(parts) if len(parts) > 1 else ()))
    return found


@settings(max_examples=300, deadline=None)
@given(staircases())
def test_parts_of_different_groups_never_overlap(groups):
    offsets, size = place(groups)
    assert size >= lower_bound(groups)
    assert size == max(offsets[g.members] + g.bytes for g in groups)
    for i, g in enumerate(groups):
        assert offsets[g.members] % g.align == 0
        for p in g.footprint:
            for other in groups[:i]:
                for q in other.footprint:
                    if p.start <= q.end and q.start <= p.end:
                        a, b = offsets[g.members] + p.offset, offsets[other.members] + q.offset
                        assert a + p.bytes <= b or b + q.bytes <= a


@settings(max_examples=200, deadline=None)
@given(staircases())
def test_bytes_that_are_alive_are_counted_once(groups):
    steps = 40
    expected = []
    for step in range(-1, steps):
        used = 0
        for g in groups:
            taken = np.zeros(g.bytes, bool)
            for p in g.footprint:
                if p.start <= step <= p.end:
                    taken[p.offset : p.offset + p.bytes] = True
            used += int(taken.sum())
        expected.append(used)
    assert alive(groups, steps) == expected
