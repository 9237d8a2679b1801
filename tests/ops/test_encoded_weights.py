"""Encoded weights: NumPy = host C under the sanitizers = TFLM with the weights as they are."""

from dataclasses import replace

import cases.conv2d
import cases.fully_connected
import numpy as np
import pytest
from encoded import ALPHABETS, conv2d, encoded, product, weights_for, with_weights
from harness import act, check_cases, check_graphs, const, graph_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intaglio import pipeline
from intaglio.errors import GraphError, UnsupportedError
from intaglio.graph import Quant, verify
from intaglio.kernels.encodings import encode, matrix, names
from intaglio.ops.base import Num
from intaglio.ops.fully_connected import FullyConnected

CASES = {"conv2d": cases.conv2d.case, "fully_connected": cases.fully_connected.case}
OURS = [name for name in names() if name not in ("s2", "s4")]
"""The others have test_packed_weights.py."""


@pytest.mark.parametrize("encoding", OURS)
@pytest.mark.parametrize("op", CASES)
def test_matches(op, encoding):
    check_cases(lambda rng: encoded(CASES[op](rng), encoding, rng), 100)


@st.composite
def convolutions(draw):
    """Any shapes, strides, paddings (also beyond a whole kernel), dilations and groups."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pair = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(2))  # noqa: E731
    kernel, dilation = pair(1, 5), pair(1, 3)
    pads = tuple(draw(st.integers(0, 4)) for _ in range(4))
    hw = tuple(
        max(1, (k - 1) * d + 1 - pads[2 * i] - pads[2 * i + 1] + draw(st.integers(0, 6)))
        for i, (k, d) in enumerate(zip(kernel, dilation, strict=True))
    )
    sizes = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    return conv2d(hw, *sizes, kernel, pair(1, 3), dilation, pads, draw(st.integers(1, 3)), rng), rng


@st.composite
def products(draw):
    """Matrices of any size, one row of inputs or several."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    in_c, out_c = draw(st.sampled_from([1, 7, 8, 9, 64, 300, 700])), draw(st.integers(1, 20))
    w = const("w", np.zeros((out_c, in_c), np.int8), Quant((0.01,), (0,)))
    x, y = act(rng, "x", (draw(st.sampled_from([1, 1, 5])), in_c), scale=0.05), None
    y = act(rng, "y", (x.shape[0], out_c), scale=0.3)
    return graph_of(FullyConnected(), [x, w], [y]), rng


@pytest.mark.parametrize("encoding", OURS)
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(some=st.lists(convolutions() | products(), min_size=10, max_size=30))
def test_any_shapes(encoding, some):
    check_graphs([encoded(graph, encoding, rng) for graph, rng in some], judge=False)


@pytest.mark.parametrize("encoding", names())
def test_all_zero_and_all_distinct(encoding):
    low, high = ALPHABETS.get(encoding, [-127, 127])
    every = np.arange(low, high + 1, dtype=np.int8)
    if encoding == "nm":
        every = np.insert(every, slice(0, None, 3), 0)
    some = (np.zeros((3, 40), np.int8), np.zeros((1, 700), np.int8), every[None, :], every[:, None])
    check_graphs([with_weights(product(data.shape), data, encoding) for data in some])


def test_several_rows_decode_once():
    """They become positions of a convolution."""
    graph = product((4, 9))
    x, y = (replace(graph.tensors[n], shape=(6, s)) for n, s in (("x", 9), ("y", 4)))
    graph = replace(graph, tensors={**graph.tensors, "x": x, "y": y})
    files = pipeline.compile_graph(encoded(graph, "huffman", np.random.default_rng(1)), "host")
    assert "kernels/conv2d_huffman.c" in files and "kernels/fully_connected_huffman.c" not in files
    # Side by side, so that four of them share each nonzero.
    [call] = pipeline.selected(encoded(graph, "huffman", np.random.default_rng(1)), "host").nodes[0].calls
    assert dict(call.args[-1].fields)["out_w"] == 6


def test_empty_filters_beside_full_ones_take_no_products():
    rng = np.random.default_rng(3)
    graph = conv2d((6, 6), 3, 6, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, rng)
    w = np.full(graph.tensors["w"].shape, 3, np.int8)
    w[::2] = 0
    found = []
    for encoding in OURS:
        if encode(encoding, matrix(w)) is not None:
            half = with_weights(graph, w, encoding)
            found.append(half)
            # A list without room for a nonzero: empty filters take it, the others go without.
            call = pipeline.selected(half, "host").nodes[0].calls[0]
            assert encoding == "codebook" or ([s.nbytes for s in call.scratches][-1], Num(0)) == (20, call.args[-2])
    check_graphs(found)


def test_windows_beside_each_other_of_any_number():
    """Four are summed at once; what is left one by one, and at the border tap by tap."""
    rng, found = np.random.default_rng(4), []
    for width in range(1, 14):
        for stride in (1, 2):
            graph = conv2d((3, width), 5, 4, (3, 3), (1, stride), (1, 1), (1, 1, 1, 1), 1, rng)
            found.append(with_weights(graph, weights_for("sparse", graph.tensors["w"].shape, rng), "sparse"))
    check_graphs(found)


def test_a_list_of_nonzeros_only_where_it_pays():
    """A scratch of 4 bytes a nonzero and 2 a tap beside the row; full rows, and offsets beyond 16 bits, do without."""
    rng = np.random.default_rng(1)

    def arena(hw, density):
        graph = conv2d(hw, 2, 5, (3, 3), (1, 1), (1, 1), (0, 0, 0, 0), 1, rng)
        w = np.ones(graph.tensors["w"].shape, np.int8)
        w.reshape(5, -1)[:, round(18 * density) :] = 0
        lowered = pipeline.selected(with_weights(graph, w, "sparse"), "host")
        return [s.nbytes for s in lowered.nodes[0].calls[0].scratches]

    assert arena((5, 5), 0.5) == [18, 36 + 20]
    assert arena((5, 5), 1.0) == [18]
    assert arena((3, 9000), 0.5) == [18]


def test_values_that_an_encoding_cannot_hold():
    rng = np.random.default_rng(1)
    for encoding, value in (("s4", 8), ("s2", -3), ("nm", 1)):
        with pytest.raises(GraphError, match=f"the encoding {encoding} cannot"):
            pipeline.compile_graph(with_weights(product((2, 7)), np.full((2, 7), value, np.int8), encoding), "host")
    every = rng.permutation(np.arange(-128, 128)).astype(np.int8)
    assert encode("codebook", every[None]) is None
    assert encode("codebook", every[:, None]) is not None  # a table a row


def test_a_codebook_for_each_few_rows():
    rng = np.random.default_rng(2)
    rows = np.concatenate([rng.choice(rng.integers(-128, 128, 4), (2, 100)) for _ in range(8)]).astype(np.int8)
    found = encode("codebook", rows)
    assert found.nbytes <= 5 + 8 * 4 + 16 * 100 * 2 // 8 + 2


def test_other_tensors_have_no_encoding():
    rng = np.random.default_rng(1)
    floats = act(rng, "x", (1, 3), "float32")
    graph = product((2, 3))
    with pytest.raises(GraphError, match="with the encoding sparse"):
        verify(replace(graph, tensors={**graph.tensors, "x": replace(floats, encoding="sparse")}), "float")
    wide = {n: replace(graph.tensors[n], dtype="int16", quant=Quant((0.1,), (0,))) for n in "xy"}
    graph = with_weights(replace(graph, tensors={**graph.tensors, **wide}), np.ones((2, 3), np.int8), "sparse")
    with pytest.raises(UnsupportedError, match="the encoding sparse and its activations 16 bits"):
        pipeline.selected(graph, "host")
    assert matrix(np.ones((2, 3, 4))).shape == (2, 12)
