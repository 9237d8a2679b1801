"""Handmade models, a few hundred bytes each, that between them hold every kind of table a .tflite has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from intaglio.emit import tflite as writer
from intaglio.graph import Graph, Node, Quant, Tensor, constant, verify
from intaglio.ops.add import Add
from intaglio.ops.assign_variable import AssignVariable
from intaglio.ops.base import Op
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.dequantize import Dequantize
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.ops.mean import Mean
from intaglio.ops.pad import Pad
from intaglio.ops.quantize import Quantize
from intaglio.ops.read_variable import ReadVariable
from intaglio.ops.reshape import Reshape
from intaglio.ops.softmax import Softmax
from intaglio.ops.split import Split
from intaglio.ops.strided_slice import StridedSlice
from intaglio.ops.transpose import Transpose

Q = Quant((0.0625,), (-3,))
PROBABILITY = Quant((1 / 256,), (-128,))


class Build:
    """A graph while it is being put together; every activation is quantized alike unless said otherwise."""

    def __init__(self, name: str, *inputs: Tensor) -> None:
        self.name, self.inputs = name, tuple(t.name for t in inputs)
        self.tensors = {t.name: t for t in inputs}
        self.nodes: list[Node] = []
        self.rng = np.random.default_rng(5)

    def weights(self, *shape: int, channels: int | None = None, axis: int = 0) -> str:
        """Random int8 weights, one scale an index of `axis` when `channels` says how many."""
        n = channels or 1
        quant = Quant(tuple(float(np.float32(0.01 * (i + 1))) for i in range(n)), (0,) * n, axis if n > 1 else None)
        name = f"w{len(self.tensors)}"
        self.tensors[name] = constant(name, self.rng.integers(-127, 128, shape, np.int8), quant)
        return name

    def bias(self, n: int) -> str:
        name = f"b{len(self.tensors)}"
        self.tensors[name] = constant(name, self.rng.integers(-500, 500, n, np.int32))
        return name

    def add(self, op: Op, *ins: str, quant: Quant | None = Q, dtype: str | None = None, state: str = "") -> str:
        tensors = [self.tensors[n] for n in ins]
        stand_in = [Tensor("", (), dtype, quant)] if dtype else []  # type: ignore[arg-type]
        names = []
        for shape, found in op.infer(tensors, stand_in):
            names.append(f"{op.name}_{len(self.tensors)}")
            self.tensors[names[-1]] = Tensor(names[-1], shape, dtype or found, quant)  # type: ignore[arg-type]
        self.nodes.append(Node(names[0] if names else f"{op.name}_{len(self.nodes)}", op, ins, tuple(names)))
        return names[0] if names else ""

    def graph(self, *outputs: str) -> Graph:
        return verify(Graph(self.name, tuple(self.nodes), self.tensors, self.inputs, outputs), "float")


def image() -> Graph:
    """Convolution, pooling, a view, a fully connected layer, softmax."""
    b = Build("image", Tensor("x", (1, 6, 6, 2), "int8", Q))
    y = b.add(Conv2D((2, 2), pads=(0, 1, 0, 1), activation="relu"), "x", b.weights(3, 3, 3, 2, channels=3), b.bias(3))
    y = b.add(DepthwiseConv2D(), y, b.weights(1, 2, 2, 3, channels=3, axis=3), b.bias(3))
    y = b.add(MaxPool2D((2, 2), (1, 1)), y)
    y = b.add(Reshape((1, 3)), y)
    y = b.add(FullyConnected(), y, b.weights(4, 3), b.bias(4))
    return b.graph(b.add(Softmax(), y, quant=PROBABILITY))


def movement() -> Graph:
    """What only moves bytes; its options are constant tensors."""
    b = Build("movement", Tensor("x", (1, 4, 4, 2), "int8", Q))
    y = b.add(Pad(((0, 0), (1, 0), (0, 1), (0, 0)), -3), "x")
    y = b.add(Transpose((0, 2, 1, 3)), y)
    y = b.add(StridedSlice((0, 1, 0, 0), (1, 4, 3, 2), (1, 1, 2, 1)), y)
    b.add(Split(3, (1, 1)), y)
    first, second = b.nodes[-1].outputs
    y = b.add(Concatenation(1), second, first)
    return b.graph(b.add(Mean((1, 2)), y))


def two_inputs() -> Graph:
    """Two inputs and two outputs."""
    b = Build("two_inputs", Tensor("left", (1, 5), "int8", Q), Tensor("right", (1, 5), "int8", Quant((0.1,), (7,))))
    y = b.add(Add(activation="relu6"), "left", "right")
    return b.graph(y, b.add(FullyConnected(), y, b.weights(2, 5), b.bias(2)))


def streaming() -> Graph:
    """State: the sum of this input and the last one."""
    b = Build("streaming", Tensor("x", (1, 4), "int8", Q))
    start = np.array([[1, -2, 3, -4]], np.int8)
    b.tensors["state:past"] = Tensor("state:past", (1, 4), "int8", Q, start, state=True)
    y = b.add(Add(), "x", b.add(ReadVariable(), "state:past"))
    b.add(AssignVariable(), "x", "state:past")
    return b.graph(y)


def float_ends() -> Graph:
    """int8 between a float input and a float output."""
    b = Build("float_ends", Tensor("x", (1, 8), "float32"))
    y = b.add(Quantize(), "x", dtype="int8")
    y = b.add(FullyConnected(), y, b.weights(3, 8), b.bias(3))
    return b.graph(b.add(Dequantize(), y, quant=None))


def floats() -> Graph:
    """Nothing quantized."""
    b = Build("floats", Tensor("x", (1, 6), "float32"))
    b.tensors["w"] = constant("w", b.rng.standard_normal((3, 6)).astype(np.float32))
    b.tensors["b"] = constant("b", np.zeros(3, np.float32))
    return b.graph(b.add(FullyConnected(), "x", "w", "b", quant=None))


def big() -> Graph:
    """Does not fit a micro:bit's RAM."""
    b = Build("big", Tensor("x", (1, 100, 100, 4), "int8", Q))
    return b.graph(b.add(MaxPool2D((2, 2), (2, 2)), "x"))


def unsupported() -> bytes:
    """`image` as a .tflite, with its SOFTMAX and RESHAPE called something that intaglio lacks."""

    class Renamed(Softmax):
        def to_tflite(self, node, graph):
            return replace(super().to_tflite(node, graph), builtin="COS", options="")

    class Flat(Reshape):
        def to_tflite(self, node, graph):
            return replace(super().to_tflite(node, graph), builtin="RFFT2D", options="")

    graph = image()
    swap = {"softmax": Renamed(), "reshape": Flat((1, 3))}
    nodes = tuple(replace(n, op=swap.get(n.op.name, n.op)) for n in graph.nodes)
    return writer.write(replace(graph, nodes=nodes))


ALL = (image, movement, two_inputs, streaming, float_ends)
