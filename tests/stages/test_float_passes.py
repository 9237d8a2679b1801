"""The passes on float graphs: what each removes, what each leaves alone, and that the numbers stay."""

from dataclasses import replace

import numpy as np
import pytest
from harness import act, const

from intaglio.floats.fold_batch_norm import fold_batch_norm
from intaglio.floats.fold_float import fold_float
from intaglio.floats.fuse_activation import fuse_activation
from intaglio.floats.fuse_bias import fuse_bias
from intaglio.floats.fuse_hard_swish import fuse_hard_swish
from intaglio.floats.fuse_padding import fuse_padding
from intaglio.floats.identities import remove_identities
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.graph import Graph, Node, Quant, Tensor, verify
from intaglio.ops.add import Add
from intaglio.ops.average_pool2d import AveragePool2D
from intaglio.ops.batch_norm import BatchNorm
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.dequantize import Dequantize
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.ops.mul import Mul
from intaglio.ops.pad import Pad
from intaglio.ops.relu import Relu
from intaglio.ops.reshape import Reshape
from intaglio.ops.transpose import Transpose
from intaglio.ops.transpose_conv import TransposeConv

RNG = np.random.default_rng(5)


def weights(name, *shape):
    return const(name, RNG.normal(size=shape).astype(np.float32))


def chain(shape, *steps, outputs=None):
    """A graph of (name, op, input names, constants); shapes are inferred."""
    tensors = {"x": act(RNG, "x", shape, "float32")}
    nodes = []
    for name, op, inputs, constants in steps:
        tensors.update({c.name: c for c in constants})
        names = (*inputs, *(c.name for c in constants))
        [(out, dtype)] = op.infer([tensors[n] for n in names], [])
        tensors[name] = Tensor(name, out, dtype)
        nodes.append(Node(name, op, names, (name,)))
    return verify(Graph("g", tuple(nodes), tensors, ("x",), tuple(outputs or [nodes[-1].name])), "float")


def statistics():
    mean, beta, gamma = (weights(n, 4) for n in ("mean", "beta", "gamma"))
    return [gamma, beta, mean, const("variance", RNG.uniform(0.1, 2, 4).astype(np.float32))]


def same_numbers(before, after):
    x = RNG.normal(size=(5, *before.tensors["x"].shape[1:])).astype(np.float32)
    for a, b in zip(run_float(before, [x]), run_float(verify(after, "float"), [x]), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    return [n.op.name for n in after.nodes]


LAYERS = {
    "conv": ((1, 5, 5, 3), Conv2D(), (4, 2, 2, 3)),
    "depthwise": ((1, 5, 5, 2), DepthwiseConv2D(), (1, 2, 2, 4)),
    "fully_connected": ((1, 6), FullyConnected(), (4, 6)),
    "transpose_conv": ((1, 3, 3, 2), TransposeConv((6, 6), (2, 2)), (4, 2, 2, 2)),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_batch_norm_goes_into_weights(kind, bias):
    shape, op, w = LAYERS[kind]
    constants = [weights("w", *w), *([weights("b", 4)] if bias else [])]
    g = chain(shape, ("y", op, ["x"], constants), ("z", BatchNorm(1e-3), ["y"], statistics()))
    assert same_numbers(g, fold_batch_norm(g)) == [op.name]


def test_batch_norm_that_cannot_be_folded_becomes_mul_and_add():
    conv = ("y", Conv2D(), ["x"], [weights("w", 4, 1, 1, 3)])
    norm = ("z", BatchNorm(), ["y"], statistics())
    alone = chain((1, 3, 3, 4), ("z", BatchNorm(), ["x"], statistics()))
    assert same_numbers(alone, fold_batch_norm(alone)) == ["mul", "add"]
    for g in (
        chain((1, 5, 5, 3), conv, norm, ("s", Add(), ["y", "z"], [])),
        chain((1, 5, 5, 3), conv, norm, outputs=["y", "z"]),
        chain((1, 5, 5, 3), (conv[0], Conv2D(activation="relu"), *conv[2:]), norm),
    ):
        assert same_numbers(g, fold_batch_norm(g))[:3] == ["conv2d", "mul", "add"]


def test_shared_weights_are_folded_apart():
    w = weights("w", 4, 4)
    again = [const(f"{t.name}2", np.abs(t.data) * 2) for t in statistics()]
    g = chain(
        (1, 4), ("a", FullyConnected(), ["x"], [w]), ("b", BatchNorm(), ["a"], statistics()),
        ("c", FullyConnected(), ["b"], [w]), ("d", BatchNorm(), ["c"], again),
    )  # fmt: skip
    assert same_numbers(g, fold_batch_norm(g)) == ["fully_connected"] * 2


@pytest.mark.parametrize("activation", ["relu", "relu6", "relu_n1_to_1"])
def test_activation_is_fused(activation):
    g = chain((1, 5, 5, 3), ("y", Conv2D(), ["x"], [weights("w", 4, 2, 2, 3)]), ("z", Relu(activation), ["y"], []))
    fused = fuse_activation(g)
    assert same_numbers(g, fused) == ["conv2d"] and fused.nodes[0].op.activation == activation
    assert fused.outputs == g.outputs


def test_activation_moves_before_a_max_pool_but_not_before_an_average():
    conv = ("y", Conv2D(), ["x"], [weights("w", 4, 2, 2, 3)])
    g = chain((1, 6, 6, 3), conv, ("p", MaxPool2D((2, 2), (2, 2), (1, 0, 1, 0)), ["y"], []), ("z", Relu(), ["p"], []))
    assert same_numbers(g, fuse_activation(g)) == ["conv2d", "max_pool2d"]
    g = chain((1, 6, 6, 3), conv, ("p", AveragePool2D((2, 2), (2, 2)), ["y"], []), ("z", Relu(), ["p"], []))
    assert same_numbers(g, fuse_activation(g)) == ["conv2d", "average_pool2d", "relu"]


def test_activation_stays_where_its_input_is_read_elsewhere():
    first, relu = ("y", Mul(), ["x", "x"], []), ("z", Relu("relu6"), ["y"], [])
    for g in (
        chain((1, 4), first, relu, ("s", Add(), ["y", "z"], [])),
        chain((1, 4), first, relu, outputs=["y", "z"]),
        chain((1, 4), (first[0], Mul("relu"), *first[2:]), relu),
        chain((1, 4), ("z", Relu(), ["x"], [])),
    ):
        assert "relu" in same_numbers(g, fuse_activation(g))


def test_padding_joins_the_convolution():
    zeros = Pad(((0, 0), (1, 2), (0, 1), (0, 0)))
    conv = ("z", Conv2D(pads=(1, 0, 0, 0)), ["y"], [weights("w", 4, 2, 2, 3)])
    g = chain((1, 5, 5, 3), ("y", zeros, ["x"], []), conv)
    assert same_numbers(g, simplify(g)) == ["conv2d"]
    for other in (Pad(zeros.pads, 0.5), Pad(((0, 0), (1, 1), (1, 1), (0, 2)))):
        g = chain((1, 5, 5, 3 - other.pads[3][1]), ("y", other, ["x"], []), conv)
        assert same_numbers(g, fuse_padding(g)) == ["pad", "conv2d"]


def test_identities_go():
    g = chain(
        (1, 4, 2), ("a", Reshape((1, 4, 2)), ["x"], []), ("b", Transpose((0, 1, 2)), ["a"], []),
        ("c", Pad(((0, 0),) * 3), ["b"], []), ("d", Mul(), ["c", "x"], []),
        ("e", Reshape((1, 8)), ["d"], []), ("f", Reshape((1, 2, 4)), ["e"], []), ("g", Relu(), ["f"], []),
    )  # fmt: skip
    assert same_numbers(g, remove_identities(g)) == ["mul", "reshape", "reshape", "relu"]
    assert same_numbers(g, simplify(g)) == ["mul", "reshape"]
    g = chain((1, 4), ("a", Reshape((1, 4)), ["x"], []))
    assert same_numbers(g, remove_identities(g)) == ["reshape"]


def test_constants_are_folded():
    q = const("q", np.array([[-3, 0, 5, 127]], np.int8), Quant((0.5,), (-1,)))
    a, b = weights("a", 1, 4), weights("b", 1, 4)
    tensors = {t.name: t for t in (act(RNG, "x", (1, 4), "float32"), a, b, q)}
    for name in ("s", "f", "t", "z"):
        tensors[name] = Tensor(name, (1, 4), "float32")
    nodes = (
        Node("s", Mul(), ("a", "b"), ("s",)), Node("f", Dequantize(), ("q",), ("f",)),
        Node("t", Add(), ("s", "f"), ("t",)), Node("z", Add(), ("x", "t"), ("z",)),
    )  # fmt: skip
    folded = fold_float(verify(Graph("g", nodes, tensors, ("x",), ("z",)), "float"))
    assert [n.name for n in folded.nodes] == ["z"]
    wanted = a.data * b.data + (q.data.astype(np.float32) + 1) * 0.5
    np.testing.assert_allclose(folded.tensors["t"].data, wanted, rtol=1e-6)


def marked(graph, name):
    """The graph of a model that came quantized, in which `name` is rounded."""
    t = replace(graph.tensors[name], quant=Quant((0.07,), (3,)))
    return replace(graph, tensors={**graph.tensors, name: t})


@pytest.mark.parametrize("first", ["layer", "vector"])
def test_added_vector_becomes_the_bias(first):
    def graph(shape, activation="none", with_bias=False):
        parts = [weights("w", 4, 3), *([weights("b", 4)] if with_bias else [])]
        inputs, constants = (("f",), [weights("v", *shape)]) if first == "layer" else ((), [])
        made = chain((1, 3), ("f", FullyConnected(activation), ("x",), parts), ("y", Add("relu"), inputs or ("f",),
                     constants or [weights("v", *shape)]))  # fmt: skip
        if first == "vector":
            made = made.with_nodes([made.nodes[0], replace(made.nodes[1], inputs=made.nodes[1].inputs[::-1])])
        return made

    for shape in ((4,), (1, 4), (1,), ()):
        for with_bias in (False, True):
            before = graph(shape, with_bias=with_bias)
            after = fuse_bias(before)
            assert same_numbers(before, after) == ["fully_connected"] and after.nodes[0].op.activation == "relu"
    read_twice = replace(graph((4,)), outputs=("f", "y"))
    for stays in (graph((4,), "relu6"), graph((1, 1, 4)), marked(graph((4,)), "f"), read_twice):
        assert same_numbers(stays, fuse_bias(stays)) == ["fully_connected", "add"]


def test_two_added_vectors():
    layer = ("f", FullyConnected(), ("x",), [weights("w", 4, 3)])
    graph = chain((1, 3), layer, ("a", Add(), ("f",), [weights("v", 4)]),
                  ("y", Add(), ("a",), [weights("u", 4)]))  # fmt: skip
    assert same_numbers(graph, fuse_bias(graph)) == ["fully_connected"]


@pytest.mark.parametrize("order", ["gate first", "divided last", "swapped"])
def test_hard_swish_is_recognized(order):
    three, sixth = const("three", np.float32(3)), const("sixth", np.full((1, 1), 1 / 6, np.float32))
    gate = ("g", Add("relu6"), ("x",), [three])
    rest = {
        "gate first": [("s", Mul(), ("g",), [sixth]), ("y", Mul(), ("x", "s"), [])],
        "swapped": [("s", Mul(), ("g",), [sixth]), ("y", Mul(), ("s", "x"), [])],
        "divided last": [("s", Mul(), ("x", "g"), []), ("y", Mul(), ("s",), [sixth])],
    }[order]
    graph = chain((1, 5), gate, *rest)
    assert same_numbers(graph, simplify(graph)) == ["hard_swish"]
    for stays in (marked(graph, "s"), marked(graph, "g"), replace(graph, outputs=("g", "y"))):
        assert [n.op.name for n in fuse_hard_swish(stays).nodes] == ["add", "mul", "mul"]
    other = chain((1, 5), ("g", Add("relu6"), ("x",), [const("three", np.float32(2.9))]), *rest)
    assert same_numbers(other, fuse_hard_swish(other)) == ["add", "mul", "mul"]


def test_what_a_quantized_model_rounds_stays_rounded():
    graph = chain((1, 3), ("f", FullyConnected(), ("x",), [weights("w", 4, 3)]), ("y", Relu(), ("f",), []))
    assert [n.op.name for n in fuse_activation(graph).nodes] == ["fully_connected"]
    assert [n.op.name for n in fuse_activation(marked(graph, "f")).nodes] == ["fully_connected", "relu"]
    views = chain((1, 6), ("a", Reshape((1, 6)), ("x",), []), ("y", Reshape((2, 3)), ("a",), []))
    assert remove_identities(views).nodes[-1].inputs == ("x",)
    assert remove_identities(marked(views, "a")).nodes[-1].inputs == ("a",)
