"""Whole graphs at random: views, in-place operators, several outputs, outputs that are inputs, and state."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from harness import const

from intaglio.graph import Graph, Node, Quant, Tensor, verify
from intaglio.ops.add import Add
from intaglio.ops.assign_variable import AssignVariable
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.ops.maximum import Maximum
from intaglio.ops.read_variable import ReadVariable
from intaglio.ops.reshape import Reshape
from intaglio.ops.split import Split

QUANT = Quant((0.0625,), (-3,))


@dataclass
class Builder:
    """A graph while random operators are added to it. Every activation has the same quantization."""

    rng: np.random.Generator
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    live: list[str] = field(default_factory=list)

    def new(self, shape, state=None) -> Tensor:
        t = Tensor(f"t{len(self.tensors)}", tuple(shape), "int8", QUANT, state, state is not None)
        self.tensors[t.name] = t
        return t

    def add(self, op, ins: list[Tensor]) -> None:
        outs = [self.new(shape) for shape, _ in op.infer(ins, [])]
        node = Node(outs[0].name, op, tuple(t.name for t in ins), tuple(t.name for t in outs))
        self.nodes.append(node)
        self.live += node.outputs

    def pick(self, test=lambda t: True) -> Tensor | None:
        fits = [n for n in self.live if test(self.tensors[n])]
        return self.tensors[str(self.rng.choice(fits))] if fits else None

    def random_op(self) -> None:
        kind = self.rng.choice(["conv", "add", "max", "reshape", "concat", "split", "pool"])
        x = self.pick(lambda t: len(t.shape) == 4)
        assert x is not None
        twin = self.pick(lambda t: t.shape == x.shape)
        if kind == "conv":
            w = const(
                f"w{len(self.nodes)}",
                self.rng.integers(-20, 20, (int(self.rng.integers(1, 5)), 1, 1, x.shape[3])).astype(np.int8),
                Quant((0.05,), (0,)),
            )
            self.tensors[w.name] = w
            self.add(Conv2D(), [x, w])
        elif kind == "add":
            self.add(Add(), [x, twin])
        elif kind == "max":
            self.add(Maximum(), [x, twin])
        elif kind == "reshape":
            self.add(Reshape((1, x.shape[2], x.shape[1], x.shape[3])), [x])
        elif kind == "concat":
            self.add(Concatenation(3), [x, twin])
        elif kind == "split" and x.shape[3] > 1:
            self.add(Split(3, (1, x.shape[3] - 1)), [x])
        elif kind == "pool" and min(x.shape[1:3]) > 1:
            self.add(MaxPool2D((2, 2), (1, 1)), [x])


def random_graph(rng: np.random.Generator, states: int = 0) -> Graph:
    b = Builder(rng)
    inputs = [b.new((1, int(rng.integers(2, 5)), int(rng.integers(2, 5)), int(rng.integers(1, 4)))) for _ in range(2)]
    b.live += [t.name for t in inputs]
    kept: list[tuple[Tensor, str]] = []
    for _ in range(states):
        shape = inputs[int(rng.integers(2))].shape
        state = b.new(shape, rng.integers(-128, 128, shape).astype(np.int8))
        kept.append((state, ""))
        b.add(ReadVariable(), [state])
    for _ in range(int(rng.integers(4, 14))):
        b.random_op()
    for state, _ in kept:
        value = b.pick(lambda t, s=state: t.shape == s.shape and not t.state)
        assert value is not None
        # Anywhere after the value exists: operators that still use the old value may follow.
        made = [i for i, n in enumerate(b.nodes) if value.name in n.outputs]
        read = [i for i, n in enumerate(b.nodes) if state.name in n.inputs]
        at = int(rng.integers(max([*made, *read, 0]) + 1, len(b.nodes) + 1))
        b.nodes.insert(at, Node(f"assign_{state.name}", AssignVariable(), (value.name, state.name), ()))
    outputs = tuple(str(n) for n in rng.choice(b.live, min(3, len(b.live)), replace=False))
    graph = Graph("case", tuple(b.nodes), b.tensors, tuple(t.name for t in inputs), outputs)
    return verify(graph.with_nodes(graph.nodes), "quantized")
