"""Weights of 4 and 2 bits: NumPy = host C under the sanitizers = TFLM, which has 4 bits in three operators."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from files import read_back
from harness import act, check_cases, check_graphs, compare, const, graph_of, host_c, inputs_for, numpy_reference
from packed import CASES, one_scale, packed

from intaglio import pipeline
from intaglio.emit import tflite as writer
from intaglio.errors import GraphError, ModelError
from intaglio.floats.hybrid_weights import hybrid_weights
from intaglio.frontends.tflite import parse
from intaglio.graph import Graph, Node, Quant, packed_range, verify
from intaglio.manifest import FILE, Manifest
from intaglio.ops.add import Add
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.packing import pack, pack_flat, unpack_flat
from intaglio.ops.unsupported import Unsupported
from intaglio.plan.memory import plan


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("op", CASES)
def test_matches(op, bits):
    check_cases(lambda rng: packed(CASES[op](rng), bits, rng), 200, judge=bits == 4 and "conv2d" in op)


def test_one_scale_matches():
    check_cases(lambda rng: packed(one_scale(rng), 4, rng), 100)


def test_no_weights_but_extremes_at_the_bound_of_32_bits():
    """As many products of the largest size as check lets through: the kernels' sums taken apart stay inside too."""
    found = []
    for zero_point in (-128, 127):
        rng = np.random.default_rng(zero_point + 128)
        x = act(rng, "x", (1, 3, 3, 2), scale=0.1, zero_point=zero_point)
        w = const("w", np.full((1, 3, 3, 2), -8, np.int8), Quant((0.01,), (0,), None, 4))
        pads = (1, 1, 1, 1)
        out = act(rng, "y", (1, 3, 3, 1), scale=20.0, zero_point=0)
        # 18 weights of 8, inputs as far as 255 from the zero point.
        spare = 2**31 - 1 - (1 << 16) - 18 * 8 * 255
        for bias in (spare, -spare):
            b = const("b", np.array([bias], np.int32), Quant((0.001,), (0,)))
            graph = graph_of(Conv2D(pads=pads), [x, w, b], [out])
            found.append(graph)
    check_graphs(found, judge=False)


@pytest.mark.parametrize("bits", [4, 2])
def test_packing(bits):
    rng = np.random.default_rng(bits)
    low, high = packed_range(bits)
    for shape in [(1, 1), (3, 5), (2, 3, 3), (1, 3, 3, 7), (4, 8)]:
        values = rng.integers(low, high + 1, shape).astype(np.int8)
        rows = pack(values, bits)
        assert rows.shape == (shape[0], -(-values[0].size * bits // 8)) and rows.dtype == np.uint8
        for row, wanted in zip(rows, values, strict=True):
            assert (unpack_flat(row, wanted.size, bits) == wanted.ravel()).all()
        assert (unpack_flat(pack_flat(values, bits), values.size, bits) == values.ravel()).all()
        tensor = const("w", values, Quant((1.0,), (0,), None, bits))
        assert tensor.stored_bytes == rows.nbytes < tensor.nbytes or values.size == 1
    # The order within a byte is that of TFLite's INT4.
    assert pack_flat(np.array([1, -2], np.int8), 4).tolist() == [0xE1]
    assert pack_flat(np.array([1, -2, 0, -1], np.int8), 2).tolist() == [0b11001001]


def test_values_beyond_the_bits_are_refused():
    for bits, value in ((4, 8), (4, -9), (2, 2), (2, -3)):
        w = const("w", np.array([[value]], np.int8), Quant((1.0,), (0,), None, bits))
        graph = graph_with(w)
        with pytest.raises(GraphError, match=f"in {bits} bits"):
            verify(graph, "float")
    with pytest.raises(GraphError, match="of 3 bits"):
        verify(graph_with(const("w", np.array([[1]], np.int8), Quant((1.0,), (0,), None, 3))), "float")


def graph_with(w):
    rng = np.random.default_rng(1)
    good = const("w", np.ones((1, 1), np.int8), Quant((1.0,), (0,)))
    op = FullyConnected()
    graph = graph_of(op, [act(rng, "x", (1, 1)), good], [act(rng, "y", (1, 1))])
    return replace(graph, tensors={**graph.tensors, "w": w})


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv"])
def test_scratch_and_weights_are_counted(op, bits):
    graph = packed(CASES[op](np.random.default_rng(7)), bits, np.random.default_rng(8))
    files = pipeline.compile_graph(graph, "host")
    manifest = Manifest.model_validate_json(files[FILE])
    w = graph.tensors["w"]
    bias = graph.tensors["b"].nbytes if "b" in graph.tensors else 0
    assert manifest.weight_bytes == w.stored_bytes + bias
    channels = w.shape[3] if op == "depthwise_conv2d" else w.shape[0]
    assert manifest.arena_bytes == (0 if op == "fully_connected" else w.size // channels)
    assert f"itg_{op}_s{bits}" in files["case.c"].decode() and f"kernels/{op}.c" not in files


def test_scratch_overlaps_nothing_that_is_alive():
    """Its node's input and output live with it; and a tensor may bear any name."""
    rng = np.random.default_rng(1)
    q = Quant((0.1,), (0,))
    names = ("x", "scratch:1:0:6", "scratch:0:0:6", "y")
    shapes = ((1, 4, 4, 3), (1, 4, 4, 5), (1, 4, 4, 2), (1, 4, 4, 3))
    tensors = {n: act(rng, n, s, scale=0.1, zero_point=0) for n, s in zip(names, shapes, strict=True)}
    nodes = []
    for i, (a, b) in enumerate(pairwise(names)):
        data = rng.integers(-8, 8, (tensors[b].shape[3], 3, 3, tensors[a].shape[3])).astype(np.int8)
        tensors[f"w{i}"] = const(f"w{i}", data, replace(q, bits=4))
        nodes.append(replace(_node(), name=b, inputs=(a, f"w{i}"), outputs=(b,)))
    graph = Graph("chain", tuple(nodes), tensors, ("x",), ("y",))
    planned = verify(plan(pipeline.selected(graph, "host")), "planned")
    spans = []
    for i, node in enumerate(planned.nodes):
        (scratch,) = node.calls[0].scratches
        spans.append((i, i, scratch.offset, scratch.nbytes))
        assert scratch.nbytes == graph.tensors[f"w{i}"].size // graph.tensors[f"w{i}"].shape[0]
    for i, name in enumerate(names[1:3]):
        spans.append((i, i + 1, planned.tensors[name].place.offset, planned.tensors[name].nbytes))
    for k, (start, end, at, size) in enumerate(spans):
        assert 0 <= at <= planned.arena_bytes - size
        for other_start, other_end, other, other_size in spans[:k]:
            if other_start <= end and start <= other_end:
                assert at + size <= other or other + other_size <= at
    assert planned.arena_bytes == 80 + 32 + 45  # both activations and the second row
    check_graphs([graph])


def _node():
    return graph_of(
        Conv2D(pads=(1, 1, 1, 1)),
        [act(np.random.default_rng(1), "x", (1, 4, 4, 3)), const("w", np.ones((1, 3, 3, 3), np.int8))],
        [act(np.random.default_rng(1), "y", (1, 4, 4, 1))],
    ).nodes[0]


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d", "fully_connected"])
def test_survives_a_file(op, bits):
    for i in range(10):
        rng = np.random.default_rng([5, i])
        graph = packed(CASES[op](rng), bits, rng)
        back = parse(writer.write(graph), "case", "case")
        before, after = (g.tensors[g.nodes[-1].inputs[1]] for g in (graph, back))
        assert after.quant == before.quant and (after.data == before.data).all()


def test_a_file_with_too_few_bytes_or_another_operator_is_refused():
    rng = np.random.default_rng(3)
    graph = graph_with(const("w", np.ones((1, 7), np.int8), Quant((0.1,), (0,), None, 4)))
    tensors = {**graph.tensors, "x": act(rng, "x", (1, 7))}
    data = writer.write(replace(graph, tensors=tensors))
    assert parse(data, "case", "case").nodes[0].op.name == "fully_connected"
    other = data.replace(np.array([1, 7], np.int32).tobytes(), np.array([1, 9], np.int32).tobytes())
    assert other != data
    with pytest.raises(ModelError, match="4 bytes of data"):
        parse(other, "case", "case")
    w = const("w", np.ones(7, np.int8), Quant((0.1,), (0,), None, 4))
    add = graph_of(Add(), [act(rng, "x", (7,)), w], [act(rng, "y", (7,))])
    op = read_back(add).op
    assert isinstance(op, Unsupported) and "INT4" in op.reason


def test_float_activations_take_what_the_weights_stand_for():
    graph = graph_with(const("w", np.array([[-7]], np.int8), Quant((0.5,), (0,), None, 4)))
    floats = {n: replace(graph.tensors[n], dtype="float32", quant=None) for n in "xy"}
    graph = replace(graph, tensors={**graph.tensors, **floats})
    assert hybrid_weights(graph).tensors["w"].data.tolist() == [[-3.5]]


def test_weights_that_two_layers_share_count_once():
    graph = packed(one_scale(np.random.default_rng(1)), 4, np.random.default_rng(1))
    node, out = graph.nodes[0], graph.tensors["y"]
    twin = replace(node, name="twin", outputs=("twin",))
    both = replace(graph, outputs=("y", "twin")).with_nodes(
        [node, twin], {**graph.tensors, "twin": replace(out, name="twin")}
    )
    sizes = [Manifest.model_validate_json(pipeline.compile_graph(g, "host")[FILE]).weight_bytes for g in (graph, both)]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("weights", ["dense", "size"])
@pytest.mark.parametrize("bits", [4, 2])
def test_packed_weights_that_are_also_an_output(bits, weights, monkeypatch):
    """An output has a byte a value, whatever way flash holds the weights that the layer reads."""
    rng = np.random.default_rng(bits)
    values = rng.integers(*packed_range(bits), (12, 20), endpoint=True).astype(np.int8)
    values[rng.random(values.shape) < 0.7] = 0
    w = const("w", values, Quant((0.1,) * 12, (0,) * 12, 0, bits))
    x, y = act(rng, "x", (1, 20), "int8", 0.1, 3), act(rng, "y", (1, 12), "int8", 0.2, 0)
    node = Node("y", FullyConnected(), ("x", "w"), ("y",))
    graph = Graph("case", (node,), {t.name: t for t in (x, w, y)}, ("x",), ("y", "w"))
    rows = inputs_for(graph, rng, random=1)
    compiled = pipeline.compile_graph
    monkeypatch.setattr(pipeline, "compile_graph", partial(compiled, weights=weights))
    compare("host C", [graph], [rows], [numpy_reference(graph, rows)], host_c([graph], [rows]), 0)
