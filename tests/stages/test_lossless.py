"""Lossless reduction: graphs full of constant, clamped, unread and repeated channels lose them and no byte changes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import random_graphs
from harness import compare, const, inputs_for, numpy_reference, tflm
from lossless_check import check

from intaglio.compress.lossless import cost, lossless
from intaglio.errors import GraphError
from intaglio.executable import require_executable
from intaglio.graph import Graph, Node, Quant, Tensor, packed_range, verify
from intaglio.ops.add import Add
from intaglio.ops.average_pool2d import AveragePool2D
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.conv2d_borders import Conv2DBorders
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.hard_swish import HardSwish
from intaglio.ops.leaky_relu import LeakyRelu
from intaglio.ops.logistic import Logistic
from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.ops.maximum import Maximum
from intaglio.ops.mean import Mean
from intaglio.ops.minimum import Minimum
from intaglio.ops.mul import Mul
from intaglio.ops.pad import Pad
from intaglio.ops.relu import Relu
from intaglio.ops.reshape import Reshape
from intaglio.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from intaglio.ops.softmax import Softmax
from intaglio.ops.split import Split
from intaglio.ops.strided_slice import StridedSlice
from intaglio.ops.sub import Sub
from intaglio.ops.transpose import Transpose
from intaglio.ops.transpose_conv import TransposeConv
from intaglio.ops.window import out_hw, same_pads

SCALE = 0.0625
ACTIVATIONS = ("none", "relu", "relu6", "relu_n1_to_1")


@dataclass
class Builder:
    """A graph while random layers are added, most of whose channels are not worth their weights."""

    rng: np.random.Generator
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    quant: Quant = field(default_factory=lambda: Quant((SCALE,), (-3,)))
    dtype: str = "int8"

    def __post_init__(self) -> None:
        self.quant = Quant((SCALE,), (int(self.rng.choice([-128, -3, 0, 127])) * (self.dtype == "int8"),))

    def new(self, shape, quant=None) -> Tensor:
        t = Tensor(f"t{len(self.tensors)}", tuple(shape), self.dtype, quant or self.quant)
        self.tensors[t.name] = t
        return t

    def constant(self, array, quant=None) -> Tensor:
        t = const(f"c{len(self.tensors)}", array, quant)
        self.tensors[t.name] = t
        return t

    def add(self, op, ins, quant=None) -> list[Tensor]:
        outs = [self.new(shape, quant) for shape, _ in op.infer(ins, [])]
        problems = op.check(ins, outs)
        if problems:
            raise GraphError(outs[0].name, problems[0])
        self.nodes.append(Node(outs[0].name, op, tuple(t.name for t in ins), tuple(t.name for t in outs)))
        return outs

    def some(self, n: int, share: float) -> np.ndarray:
        return np.flatnonzero(self.rng.random(n) < share)

    def filters(self, shape, axis) -> np.ndarray:
        """Weights of which some output channels (`axis`) are 0 or repeat another, and inputs (the last) are unread."""
        w = np.moveaxis(self.rng.integers(-40, 41, shape), axis, 0)
        w[self.some(len(w), 0.3)] = 0
        for c in self.some(len(w), 0.2):
            w[c] = w[self.rng.integers(len(w))]
        w = np.moveaxis(w, 0, axis)
        if axis == 0:
            w[..., self.some(shape[-1], 0.2)] = 0
        if self.rng.random() < 0.3:
            w = w // 8  # so that the weights of equal channels add up to weights
        w.flat[0] = self.rng.choice([w.flat[0], 0, 127])
        return w.astype(np.int8)

    def weighted(self, op, x, shape, axis, out_c) -> Tensor:
        """A layer with weights, most biases moderate, some so large that what comes out is clamped."""
        many = self.rng.random() < 0.6
        scales = self.rng.choice([0.01, 0.02], out_c if many else 1)
        zeros = (0,) * len(scales)
        quant = Quant(tuple(float(np.float32(s)) for s in scales), zeros, axis if len(scales) > 1 else None)
        ins = [x, self.constant(self.filters(shape, axis), quant)]
        if self.rng.random() < 0.8:
            bias = self.rng.integers(-3000, 3000, out_c)
            large = self.some(out_c, 0.2)
            bias[large] = self.rng.choice([-1, 1], len(large)) * 10**6
            for c in self.some(out_c, 0.3):
                bias[c] = bias[0]
            ins.append(self.constant(bias.astype(np.int32 if self.dtype == "int8" else np.int64)))
        return self.add(op, ins)[0]

    # ---- layers: each takes an image and returns one

    def window(self, x, kernel, dilation=(1, 1)):
        """Stride and padding: VALID where it fits, SAME, or as PyTorch pads."""
        stride = tuple(int(v) for v in self.rng.integers(1, 4, 2))
        hw = x.shape[1:3]
        pads = [same_pads(hw, kernel, stride, dilation), same_pads(hw, kernel, (1, 1), dilation)]
        if all((k - 1) * d < n for k, d, n in zip(kernel, dilation, hw, strict=True)):
            pads.append((0, 0, 0, 0))
        pads = pads[int(self.rng.integers(len(pads)))]
        if min(hw) < 2:
            stride = (1, 1)
            pads = same_pads(hw, kernel, stride, dilation)
        out_hw(hw, kernel, stride, dilation, pads)
        return stride, pads

    def conv(self, x):
        kernel = tuple(int(v) for v in self.rng.integers(1, 4, 2)) if self.rng.random() < 0.4 else (1, 1)
        dilation = tuple(int(v) for v in self.rng.integers(1, 3, 2))
        stride, pads = self.window(x, kernel, dilation)
        groups = int(self.rng.choice([1, 1, 1, 2])) if x.shape[3] % 2 == 0 else 1
        out_c = groups * int(self.rng.integers(1, 9))
        op = Conv2D(stride, dilation, pads, str(self.rng.choice(ACTIVATIONS)))
        return self.weighted(op, x, (out_c, *kernel, x.shape[3] // groups), 0, out_c)

    def depthwise(self, x):
        kernel = tuple(int(v) for v in self.rng.integers(1, 4, 2))
        dilation = tuple(int(v) for v in self.rng.integers(1, 3, 2))
        stride, pads = self.window(x, kernel, dilation)
        out_c = x.shape[3] * int(self.rng.choice([1, 1, 1, 2]))
        op = DepthwiseConv2D(stride, dilation, pads, str(self.rng.choice(ACTIVATIONS)))
        return self.weighted(op, x, (1, *kernel, out_c), 3, out_c)

    def transposed(self, x):
        stride = tuple(int(v) for v in self.rng.integers(1, 3, 2))
        out_c = int(self.rng.integers(1, 6))
        size = tuple(n * s for n, s in zip(x.shape[1:3], stride, strict=True))
        op = TransposeConv(size, stride, (0, 0), str(self.rng.choice(ACTIVATIONS)))
        return self.weighted(op, x, (out_c, 2, 2, x.shape[3]), 0, out_c)

    def binary(self, x):
        op = [Add, Sub, Mul, Maximum, Minimum][int(self.rng.integers(5))]()
        twins = [n for n in self.images if self.tensors[n].shape == x.shape]
        kind = self.rng.random()
        if kind < 0.5:
            other = self.tensors[str(self.rng.choice(twins))]
        elif kind < 0.7:
            shape = x.shape if kind < 0.6 else (1, 1, 1, x.shape[3])
            other = self.constant(self.rng.integers(-128, 128, shape).astype(self.dtype), self.quant)
        elif kind < 0.85:
            other = self.add(Mean((1, 2), True), [x])[0]
        else:
            other = self.add(StridedSlice((0,) * 4, (-1, -1, -1, 1), (1,) * 4), [x])[0]
        return self.add(op, [x, other] if self.rng.random() < 0.5 else [other, x])[0]

    def unary(self, x):
        op = [Relu(str(self.rng.choice(["relu", "relu6"]))), LeakyRelu(0.3), HardSwish(), Logistic()]
        chosen = op[int(self.rng.integers(4))]
        return self.add(chosen, [x], self.unit if chosen == Logistic() else None)[0]

    @property
    def unit(self) -> Quant:
        """How results of 0..1 have to be quantized."""
        return Quant((1 / 256,), (-128,)) if self.dtype == "int8" else Quant((1 / 32768,), (0,))

    def pool(self, x):
        kernel = (min(2, x.shape[1]), min(3, x.shape[2]))
        stride = tuple(int(v) for v in self.rng.integers(1, 4, 2))
        pads = same_pads(x.shape[1:3], kernel, stride, (1, 1)) if self.rng.random() < 0.5 else (0, 0, 0, 0)
        kind = MaxPool2D if self.rng.random() < 0.5 else AveragePool2D
        return self.add(kind(kernel, stride, pads, str(self.rng.choice(ACTIVATIONS))), [x], x.quant)[0]

    def joined(self, x):
        fits = [n for n in self.images if self.tensors[n].shape[:3] == x.shape[:3] and self.tensors[n].quant == x.quant]
        parts = [x, *(self.tensors[str(self.rng.choice(fits))] for _ in range(int(self.rng.integers(1, 3))))]
        return self.add(Concatenation(3), parts, x.quant)[0]

    def cut(self, x):
        if x.shape[3] < 2:
            return x
        at = int(self.rng.integers(1, x.shape[3]))
        outs = self.add(Split(3, (at, x.shape[3] - at)), [x], x.quant)
        self.images += [t.name for t in outs]
        return outs[int(self.rng.integers(2))]

    def moved(self, x):
        h, w, c = x.shape[1:]
        op = [
            Transpose((0, 2, 1, 3)),
            Reshape((1, w, h, c)),
            Reshape((1, h, 1, w * c)),
            Pad(((0, 0), (1, 0), (0, 2), (0, 0)), float(self.rng.choice([0.0, 1.0]))),
            ResizeNearestNeighbor((h + 1, w * 2)),
            StridedSlice((0, 0, w - 1, 0), (-1, h, w, -1), (1, 1, -1, 1)),
            Concatenation(1),
        ][int(self.rng.integers(7))]
        return self.add(op, [x, x] if isinstance(op, Concatenation) else [x], x.quant)[0]

    def layer(self) -> None:
        x = self.tensors[self.images[-1] if self.rng.random() < 0.8 else str(self.rng.choice(self.images))]
        kinds = ["conv"] * 5 + ["depthwise"] * 4 + ["binary"] * 2 + ["unary", "pool", "joined", "cut", "moved"]
        kinds += ["transposed"] * (x.shape[1] < 9)
        before = list(self.nodes), dict(self.tensors), list(self.images)
        try:
            self.images.append(getattr(self, str(self.rng.choice(kinds)))(x).name)
        except GraphError:  # a combination that is refused, like a mean of a padded window with nothing in it
            self.nodes, self.tensors, self.images = before

    def head(self, x) -> Tensor:
        """Fully connected layers behind the image, flattened or averaged."""
        if self.rng.random() < 0.5:
            x = self.add(Mean((1, 2), bool(self.rng.random() < 0.5)), [x])[0]
        elif self.rng.random() < 0.7:
            x = self.add(Reshape((1, x.size)), [x], x.quant)[0]
        per_row = x.size if self.rng.random() < 0.7 else x.shape[-1]
        out_c = int(self.rng.integers(2, 6))
        y = self.weighted(FullyConnected(), x, (out_c, per_row), 0, out_c)
        return self.add(Softmax(), [y], self.unit)[0] if self.rng.random() < 0.3 else y


def random_graph(rng: np.random.Generator, dtype: str = "int8") -> Graph:
    b = Builder(rng, dtype=dtype)
    h, w = (int(v) for v in rng.choice([1, 2, 3, 5, 6, 7, 8], 2))
    x = b.new((1, h, w, int(rng.integers(1, 5))))
    b.images.append(x.name)
    b.images.append(b.conv(x).name)
    for _ in range(int(rng.integers(1, 8))):
        b.layer()
    last = b.tensors[b.images[-1]]
    outputs = [b.head(last).name if rng.random() < 0.7 else last.name]
    if rng.random() < 0.2:
        outputs.append(str(rng.choice(b.images[1:])))
    graph = Graph("case", tuple(b.nodes), b.tensors, (x.name,), tuple(dict.fromkeys(outputs)))
    return require_executable(verify(graph.with_nodes(graph.nodes), "quantized"))


def cases(count: int, seed: int, make=random_graph) -> tuple[list[Graph], list]:
    graphs = [replace(make(np.random.default_rng([seed, i])), name=f"case_{i}") for i in range(count)]
    return graphs, [inputs_for(g, np.random.default_rng([seed, i]), random=4) for i, g in enumerate(graphs)]


def test_no_byte_changes():
    graphs, feeds = cases(120, 11)
    reduced = check(graphs, feeds, 11)
    smaller = [sum(cost(r)) < sum(cost(g)) for g, r in zip(graphs, reduced, strict=True)]
    assert np.mean(smaller) > 0.5


def separable(rng: np.random.Generator) -> Graph:
    """A convolution with many zero filters, a padded depthwise one whose constants differ at the border, a mix."""
    b = Builder(rng)
    h, w = (int(v) for v in rng.choice([1, 2, 3, 5, 6, 9, 12], 2))
    x = b.new((1, h, w, 3))
    c = int(rng.integers(12, 25))
    filters = rng.integers(-40, 41, (c, 1, 1, 3))
    filters[b.some(c, 0.7)] = 0
    scale = Quant((0.02,), (0,))
    bias = b.constant(rng.integers(-2000, 2000, c).astype(np.int32))
    y = b.add(Conv2D(), [x, b.constant(filters.astype(np.int8), scale), bias])[0]
    kernel = tuple(int(v) for v in rng.integers(2, 5, 2))
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    dilation = tuple(int(v) for v in rng.integers(1, 3, 2))
    op = DepthwiseConv2D(stride, dilation, same_pads((h, w), kernel, stride, dilation))
    y = b.add(op, [y, b.constant(rng.integers(-40, 41, (1, *kernel, c)).astype(np.int8), scale)])[0]
    for out_c in (16, 3):
        side = int(rng.choice([1, 1, 3]))
        mix = Conv2D(pads=(side // 2,) * 4)
        weights = rng.integers(-40, 41, (out_c, side, side, y.shape[3])).astype(np.int8)
        y = b.add(mix, [y, b.constant(weights, scale)], Quant((0.5,), (0,)))[0]
    graph = Graph("case", tuple(b.nodes), b.tensors, (x.name,), (y.name,))
    return require_executable(verify(graph, "quantized"))


def test_borders_of_constants_through_padding():
    graphs, feeds = cases(80, 14, separable)
    reduced = check(graphs, feeds, 14)
    assert all(g.tensors[g.nodes[0].outputs[0]].shape[3] < 24 for g in reduced)
    places = [
        (len(set(n.op.rows)), len(set(n.op.columns)))
        for g in reduced
        for n in g.nodes
        if isinstance(n.op, Conv2DBorders)
    ]
    assert len(places) > 40 and {(1, 2), (2, 1), (2, 2), (1, 3)} <= set(places), places


def test_without_borders_tflite_says_it_and_the_oracle_agrees():
    graphs, feeds = cases(80, 12)
    reduced = check(graphs, feeds, 12, borders=False)
    expected = [numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    compare("the oracle", graphs, feeds, expected, tflm(reduced, feeds), 12)


def test_graphs_with_state_and_several_outputs():
    def make(rng):
        return random_graphs.random_graph(rng, states=int(rng.integers(0, 3)))

    check(*cases(60, 13, make), 13)


def in_few_bits(graph: Graph, rng) -> Graph:
    """The weights of some layers, clipped to 4 or 2 bits."""
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        bits = int(rng.choice([8, 4, 4, 2]))
        if node.op.layer is not None and bits < 8:
            w = tensors[node.inputs[1]]
            tensors[w.name] = const(w.name, np.clip(w.data, *packed_range(bits)), replace(w.quant, bits=bits))
    return require_executable(verify(replace(graph, tensors=tensors), "quantized"))


@pytest.mark.parametrize("make", [random_graph, separable])
def test_weights_of_few_bits_keep_them(make):
    graphs, feeds = cases(30, 15, lambda rng: in_few_bits(make(rng), rng))
    reduced = check(graphs, feeds, 15)
    smaller = [sum(cost(r)) < sum(cost(g)) for g, r in zip(graphs, reduced, strict=True)]
    assert np.mean(smaller) > 0.5
    changed = 0
    for before, after in zip(graphs, reduced, strict=True):
        layers = {n.outputs[0]: n for n in before.nodes}
        for node in after.nodes:
            if node.op.layer is not None:
                old, new = (g.tensors[n.inputs[1]] for g, n in ((before, layers[node.outputs[0]]), (after, node)))
                assert new.quant.bits == old.quant.bits
                changed += new.quant.bits < 8 and new.shape != old.shape
    assert changed > 10


def test_the_places_of_a_constant_need_weights_of_8_bits():
    """No kernel takes a bias by place and packed weights: the constants behind the padding stay."""
    graph = two_layers(changed(FILTERS, slice(2, 8), 0), BIAS, [depthwise_step()], hw=(6, 6))
    mix = graph.tensors[graph.nodes[-1].inputs[1]]
    for bits, borders in ((8, True), (4, False), (2, False)):
        few = const(mix.name, np.clip(mix.data, *packed_range(bits)), replace(mix.quant, bits=bits))
        one = replace(graph, tensors={**graph.tensors, mix.name: few})
        reduced = check([one], [inputs_for(one, np.random.default_rng(0))], 0)[0]
        assert isinstance(reduced.nodes[-1].op, Conv2DBorders) == borders
        assert (width(reduced) == 2) == borders


def test_int16_activations_stay_as_they_are():
    graphs, feeds = cases(30, 16, lambda rng: random_graph(rng, "int16"))
    reduced = check(graphs, feeds, 16)
    kept = {n.op.name for g in reduced for n in g.nodes}
    assert {"conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv", "concatenation", "split"} <= kept


# ---- one technique at a time ------------------------------------------------------------------------------------

FILTERS = np.random.default_rng(3).integers(-40, 41, (8, 1, 1, 4)).astype(np.int8)
BIAS = np.arange(-450, 350, 100, dtype=np.int32)


def two_layers(filters=FILTERS, bias=BIAS, between=(), activation="none", hw=(4, 4)) -> Graph:
    """A pointwise convolution of 4 channels, some operators, and a mix of what comes out."""
    b = Builder(np.random.default_rng(5))
    x = b.new((1, *hw, 4))
    scale = Quant((0.02,), (0,))
    y = b.add(Conv2D(activation=activation), [x, b.constant(filters, scale), b.constant(bias)])[0]
    for op, *constants in between:
        y = b.add(op, [y, *(b.constant(c, scale if c.dtype == np.int8 else None) for c in constants)])[0]
    weights = np.random.default_rng(4).integers(-30, 31, (3, 1, 1, y.shape[3])).astype(np.int8)
    weights[:, 0, 0, 0] = [-127, 127, 127]
    # With a bias, so that folding a constant does not need a new one.
    y = b.add(Conv2D(), [y, b.constant(weights, scale), b.constant(np.full(3, 7, np.int32))], Quant((0.5,), (0,)))[0]
    return verify(Graph("case", tuple(b.nodes), b.tensors, (x.name,), (y.name,)), "quantized")


def width(graph: Graph) -> int:
    """Channels between the layers."""
    return graph.tensors[graph.nodes[-1].inputs[0]].shape[-1]


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


def test_what_cannot_be_reduced_stays_the_very_graph():
    graph = two_layers()
    assert lossless(graph) is graph


@pytest.mark.parametrize("borders", [True, False])
def test_zero_filters_go(borders):
    graph = two_layers(changed(FILTERS, [2, 5], 0))
    assert width(check([graph], [inputs_for(graph, np.random.default_rng(0))], 0, borders)[0]) == 6


def test_channels_that_are_always_clamped_go():
    graph = two_layers(bias=changed(BIAS, [1, 3, 4], [10**6, -(10**6), 10**6]))
    assert width(check([graph], [inputs_for(graph, np.random.default_rng(0))], 0)[0]) == 5
    # The least bias that is enough: one less, and an input exists that comes through.
    b = Builder(np.random.default_rng(5)).quant
    reach = int(np.abs(FILTERS[1].astype(int)).sum()) * 255
    far = int(np.ceil((260 + reach * 0.02) / 0.02))
    assert b.scale[0] == SCALE and width(lossless(two_layers(bias=changed(BIAS, 1, far)))) == 7
    assert width(lossless(two_layers(bias=changed(BIAS, 1, 2000)))) == 8


def test_channels_that_nothing_reads_go():
    graph = two_layers()
    mix = graph.nodes[-1]
    weights = graph.tensors[mix.inputs[1]]
    unread = replace(weights, data=changed(weights.data, (slice(None), 0, 0, [1, 6]), 0))
    graph = replace(graph, tensors={**graph.tensors, weights.name: unread})
    assert width(check([graph], [inputs_for(graph, np.random.default_rng(0))], 0)[0]) == 6


def test_repeated_channels_are_one_where_their_weights_add_up_to_weights():
    twins = changed(changed(FILTERS, 7, FILTERS[3]), 4, FILTERS[0])
    graph = two_layers(twins, changed(changed(BIAS, 7, BIAS[3]), 4, BIAS[0]))
    # 3 and 7 become one; the weights of 0 are 127, so those of 4 do not always fit beside them.
    assert width(check([graph], [inputs_for(graph, np.random.default_rng(0))], 0)[0]) == 7
    assert width(lossless(two_layers(twins, BIAS))) == 8


def depthwise_step(kernel=(3, 3), stride=(1, 1), hw=(6, 6), same=True):
    filters = np.random.default_rng(6).integers(1, 41, (1, *kernel, 8)).astype(np.int8)
    pads = same_pads(hw, kernel, stride, (1, 1)) if same else (0, 0, 0, 0)
    return DepthwiseConv2D(stride, (1, 1), pads), filters, BIAS


@pytest.mark.parametrize(
    ("step", "hw", "places"),
    [
        ({}, (6, 6), (3, 3)),
        ({"hw": (6, 1)}, (6, 1), (3, 1)),
        ({"hw": (2, 6)}, (2, 6), (2, 3)),
        ({"stride": (2, 2)}, (6, 6), (2, 2)),
        ({"stride": (2, 2), "hw": (5, 5)}, (5, 5), (3, 3)),
        ({"stride": (3, 3)}, (6, 6), (1, 1)),
        ({"kernel": (5, 5), "hw": (7, 7)}, (7, 7), (5, 5)),
        ({"same": False}, (6, 6), (1, 1)),
    ],
)
def test_the_places_of_a_constant_behind_a_padded_depthwise(step, hw, places):
    graph = two_layers(changed(FILTERS, slice(2, 8), 0), BIAS, [depthwise_step(**step)], hw=hw)
    feeds = [inputs_for(graph, np.random.default_rng(0))]
    reduced = check([graph], feeds, 0)[0]
    mix = reduced.nodes[-1].op
    found = (len(set(mix.rows)), len(set(mix.columns))) if isinstance(mix, Conv2DBorders) else (1, 1)
    if found != places:  # a table that outweighs what it saves is not made
        assert np.prod(places) > 9 and width(reduced) > 2
    else:
        assert width(reduced) == 2
    without = check([graph], feeds, 0, borders=False)[0]
    assert not any(isinstance(n.op, Conv2DBorders) for n in without.nodes)
    assert width(without) == 2 if places == (1, 1) else width(without) > 2


def test_a_residual_keeps_what_it_adds_to():
    b = Builder(np.random.default_rng(5))
    x = b.new((1, 4, 4, 8))
    scale = Quant((0.02,), (0,))
    y = b.add(Conv2D(), [x, b.constant(np.zeros((8, 1, 1, 8), np.int8), scale), b.constant(BIAS)])[0]
    total = b.add(Add(), [x, y])[0]
    graph = verify(Graph("case", tuple(b.nodes), b.tensors, (x.name,), (total.name,)), "quantized")
    assert check([graph], [inputs_for(graph, np.random.default_rng(0))], 0)[0].macs() == graph.macs()


def test_a_model_without_any_influence_of_its_input():
    graph = two_layers(np.zeros_like(FILTERS))
    reduced = check([graph], [inputs_for(graph, np.random.default_rng(0))], 0)[0]
    assert width(reduced) == 1
