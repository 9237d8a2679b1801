"""Cases whose weights are stored by an encoding."""

from dataclasses import replace

import numpy as np
from harness import act, const, graph_of

from intaglio.graph import Graph, Node, Quant, verify
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.fully_connected import FullyConnected

ALPHABETS = {"s2": [-2, 1], "s4": [-8, 7]}
"""What an encoding can hold; any int8 where nothing is said."""


def values_for(encoding, rng):
    """An alphabet: one value, few, or many."""
    low, high = ALPHABETS.get(encoding, [-128, 127])
    return rng.integers(low, high + 1, int(rng.choice([1, 2, 5, 16, 200])))


def weights_for(encoding, shape, rng):
    """Random weights of any density, some rows of them zero."""
    w = rng.choice(values_for(encoding, rng), shape)
    w[rng.random(shape) >= rng.choice([0.0, 0.05, 0.2, 0.5, 0.9, 1.0])] = 0
    w[rng.random(shape[0]) < rng.choice([0.0, 0.3])] = 0
    if encoding == "nm":
        rows = w.reshape(shape[0], -1)
        kept = of_each_4(rows.shape, int(rng.integers(1, 4)), rng)
        w = (rows * kept).reshape(shape)
    return w.astype(np.int8)


def of_each_4(shape, n, rng):
    """A mask of n random places of each 4 of a row."""
    rows, columns = shape
    ranks = np.argsort(rng.random((rows, -(-columns // 4), 4)), axis=2)
    return (ranks < n).reshape(rows, -1)[:, :columns]


def with_weights(graph: Graph, data, encoding) -> Graph:
    w = replace(graph.tensors["w"], data=const("w", data).data, encoding=encoding)
    return verify(graph.with_nodes(graph.nodes, {**graph.tensors, "w": w}), "quantized")


def encoded(graph: Graph, encoding, rng) -> Graph:
    """A case with weights that are stored so."""
    return with_weights(graph, weights_for(encoding, graph.tensors["w"].shape, rng), encoding)


def conv2d(hw, in_c, out_c, kernel, stride, dilation, pads, groups, rng):
    """A convolution whose sums stay small."""
    op = Conv2D(stride, dilation, pads)
    x = act(rng, "x", (1, *hw, in_c * groups), scale=0.05)
    w = const("w", np.zeros((out_c * groups, *kernel, in_c), np.int8), Quant((0.01,), (0,)))
    shape = op.infer([x, w], [])[0][0]
    return graph_of(op, [x, w], [act(rng, "y", shape, scale=0.3)])


def product(shape):
    rng = np.random.default_rng(1)
    w = const("w", np.zeros(shape, np.int8), Quant((0.01,), (0,)))
    return graph_of(
        FullyConnected(), [act(rng, "x", (1, shape[1]), scale=0.05), w], [act(rng, "y", (1, shape[0]), scale=0.5)]
    )


def chain(*weights):
    """Fully connected layers one after another."""
    rng = np.random.default_rng(1)
    op = product((1, 1)).nodes[0].op
    tensors = {"x": act(rng, "x", (1, weights[0].shape[1]), scale=0.1)}
    nodes = []
    for i, w in enumerate(weights):
        tensors |= {
            f"w{i}": const(f"w{i}", w, Quant((0.01,), (0,))),
            f"y{i}": act(rng, f"y{i}", (1, len(w)), scale=2.0),
        }
        nodes.append(Node(f"fc{i}", op, (nodes[-1].outputs[0] if nodes else "x", f"w{i}"), (f"y{i}",)))
    return Graph("chain", tuple(nodes), tensors, ("x",), (nodes[-1].outputs[0],))


def sparse(rng, rows, columns, density, values=(-3, 1, 2)):
    w = rng.choice(np.array(values, np.int8), (rows, columns))
    w[rng.random(w.shape) >= density] = 0
    return w
