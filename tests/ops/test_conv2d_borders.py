"""CONV_2D_BORDERS: no runtime has it, so its meaning is CONV_2D with one bias after the other."""

from dataclasses import replace

import numpy as np
import pytest
from cases.conv2d_borders import case
from harness import check_cases, const, inputs_for, numpy_reference

from intaglio.emit import tflite as writer
from intaglio.errors import GraphError, UnsupportedError
from intaglio.executable import require_executable
from intaglio.graph import packed_range, verify
from intaglio.ops.conv2d import Conv2D


def test_c_gives_what_the_reference_gives():
    check_cases(case, 300, judge=False)


def test_each_output_has_the_bias_of_its_place():
    for seed in range(40):
        graph = case(np.random.default_rng(seed))
        node = graph.nodes[0]
        op, bias = node.op, graph.tensors["b"].data
        feeds = inputs_for(graph, np.random.default_rng(seed))
        found = numpy_reference(graph, feeds)
        for k, r in enumerate(op.rows):
            for m, c in enumerate(op.columns):
                plain = Conv2D(op.stride, op.dilation, op.pads, op.activation)
                one = replace(
                    graph,
                    nodes=(replace(node, op=plain),),
                    tensors={**graph.tensors, "b": const("b", bias[r, c])},
                )
                for got, want in zip(found, numpy_reference(one, feeds), strict=True):
                    assert (got[0][:, k, m] == want[0][:, k, m]).all()


def test_classes_that_do_not_fit_are_refused():
    graph = case(np.random.default_rng(1))
    node = graph.nodes[0]
    for wrong in ({"rows": (*node.op.rows, 0)}, {"columns": tuple(c + 1 for c in node.op.columns)}):
        with pytest.raises(GraphError, match="classes"):
            verify(replace(graph, nodes=(replace(node, op=replace(node.op, **wrong)),)), "quantized")


def test_a_bias_that_leaves_32_bits_is_refused():
    graph = case(np.random.default_rng(1))
    worst = np.full(graph.tensors["b"].shape, 2**31 - 1, np.int32)
    worst[:-1] = 0
    ins = [graph.tensors[n] for n in graph.nodes[0].inputs[:2]] + [const("b", worst)]
    assert "32 bits" in graph.nodes[0].op.check(ins, graph.outs(graph.nodes[0]))[0]


@pytest.mark.parametrize("bits", [4, 2])
def test_weights_of_few_bits_are_refused(bits):
    graph = case(np.random.default_rng(1))
    w = graph.tensors["w"]
    packed = const("w", np.clip(w.data, *packed_range(bits)), replace(w.quant, bits=bits))
    with pytest.raises(UnsupportedError, match=f"its weights have {bits} bits"):
        require_executable(replace(graph, tensors={**graph.tensors, "w": packed}))


def test_tflite_cannot_say_it():
    with pytest.raises(UnsupportedError, match="depends on where the output lies"):
        writer.write(case(np.random.default_rng(1)))
