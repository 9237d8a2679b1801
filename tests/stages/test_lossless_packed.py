"""Lossless reduction beside what is not plain int8: weights of 4 and 2 bits, and int16 on the way."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from harness import act, const, inputs_for
from lossless_check import check

from intaglio.graph import Graph, Node, Quant, packed_range, verify
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.quantize import Quantize


def quant_of(scale, channels, bits, axis=0):
    return Quant((scale,) * channels, (0,) * channels, axis if channels > 1 else None, bits)


def two_layers(bits, per_channel):
    """30 channels, 27 of them constants, read by a padded convolution: with 8 bits it gets a bias for each place."""
    rng = np.random.default_rng(bits)
    low, high = packed_range(bits) if bits < 8 else (-7, 7)
    first = rng.integers(low, high + 1, (30, 1, 1, 2)).astype(np.int8)
    first[3:] = 0
    second = rng.integers(low, high + 1, (40, 3, 3, 30)).astype(np.int8)
    x = act(rng, "x", (1, 8, 8, 2), scale=0.05, zero_point=3)
    y = act(rng, "y", (1, 8, 8, 30), scale=0.04, zero_point=-128)
    z = act(rng, "z", (1, 8, 8, 40), scale=0.1, zero_point=0)
    constants = [
        const("w1", first, quant_of(0.02, 30 if per_channel else 1, bits)),
        const("b1", rng.integers(0, 20000, 30).astype(np.int32), quant_of(0.001, 30, 8)),
        const("w2", second, quant_of(0.02, 40 if per_channel else 1, bits)),
        const("b2", np.arange(40, dtype=np.int32), quant_of(0.0008, 40, 8)),
    ]
    nodes = (
        Node("first", Conv2D(activation="relu"), ("x", "w1", "b1"), ("y",)),
        Node("second", Conv2D(pads=(1, 1, 1, 1)), ("y", "w2", "b2"), ("z",)),
    )
    return verify(Graph("case_0", nodes, {t.name: t for t in (x, y, z, *constants)}, ("x",), ("z",)), "quantized")


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_keep_their_bits(bits, per_channel):
    graph = two_layers(bits, per_channel)
    reduced = check([graph], [inputs_for(graph, np.random.default_rng(0))], 0)[0]
    assert reduced.macs() < graph.macs()
    for node in reduced.nodes:
        assert reduced.tensors[node.inputs[1]].quant.bits == bits
    # The kernels of few bits have one bias a channel.
    assert [n.op.name for n in reduced.nodes] == ["conv2d", "conv2d_borders" if bits == 8 else "conv2d"]


def test_the_same_numbers_in_8_and_in_16_bits_are_not_the_same():
    """Two equal layers, one rescaled through int8, which clamps, the other through int16."""
    rng = np.random.default_rng(0)
    x = act(rng, "x", (1, 4), scale=0.5, zero_point=0)
    coarse, fine = Quant((0.5,), (0,)), Quant((0.05,), (0,))
    w = const("w", np.eye(4, dtype=np.int8), Quant((1.0,), (0,)))
    weights = rng.integers(-20, 21, (5, 8)).astype(np.int8)
    weights[:2, 0] = 127, -127  # so that the sums of the others are weights too
    joined = const("joined", weights, Quant((0.02,), (0,)))
    tensors = [x, w, joined, replace(x, name="z", shape=(1, 5)), replace(x, name="c", shape=(1, 8))]
    nodes = []
    for k, dtype in enumerate(("int8", "int16")):
        names = [f"{name}{k}" for name in ("same", "fine", "back")]
        tensors += [replace(x, name=names[0]), replace(x, name=names[1], dtype=dtype, quant=fine)]
        tensors.append(replace(x, name=names[2], quant=coarse))
        nodes.append(Node(names[0], FullyConnected(), ("x", "w"), (names[0],)))
        nodes += [Node(b, Quantize(), (a,), (b,)) for a, b in pairwise(names)]
    nodes.append(Node("c", Concatenation(1), ("back0", "back1"), ("c",)))
    nodes.append(Node("z", FullyConnected(), ("c", "joined"), ("z",)))
    graph = Graph("case_0", tuple(nodes), {t.name: t for t in tensors}, ("x",), ("z",))
    check([verify(graph, "quantized")], [inputs_for(graph, np.random.default_rng(0))], 0)
