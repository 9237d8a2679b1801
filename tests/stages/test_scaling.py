"""Time grows with the size of a model, not with its square: counted in lines that Python executes, not in seconds."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import numpy as np
import pytest
from onnx_models import build, node

from intaglio import boards, compiled_folder, pipeline
from intaglio.emit import tflite as writer
from intaglio.frontends import onnx, tflite
from intaglio.graph import Graph, Node, Quant, Tensor
from intaglio.ops.add import Add
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.reshape import Reshape
from intaglio.plan.arena import WORK, place
from intaglio.plan.storage import Group
from intaglio.summary import summarize

SMALL, TIMES = 100, 10
SLACK = 1.02
Q = Quant((0.5,), (0,))


def lines(work: Callable[[], object]) -> int:
    """How many lines Python executes, each turn of a loop or comprehension anew."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def relus(n: int) -> bytes:
    """A chain of one operator."""
    nodes = [node("Relu", f"t{i}", f"t{i + 1}") for i in range(n)]
    return build(nodes, {"t0": [1, 4]}, {f"t{n}": [1, 4]})


def mixed(n: int) -> bytes:
    """A chain of small operators, some with a constant of their own, one that reads what lies three before it."""
    nodes, constants = [], {}
    for i in range(n):
        a, b = f"t{i}", f"t{i + 1}"
        kind = i % 6
        if kind in (0, 4):
            constants[f"c{i}"] = np.arange(4, dtype=np.float32) + i
            nodes.append(node("Add" if kind == 0 else "MatMul", f"{a} c{i}", b))
            if kind == 4:
                constants[f"c{i}"] = np.eye(4, dtype=np.float32) + i
        elif kind == 3:
            constants[f"c{i}"], constants[f"d{i}"] = np.array([1, 2, 2]), np.array([1, 4])
            nodes += [node("Reshape", f"{a} c{i}", f"r{i}"), node("Reshape", f"r{i} d{i}", b)]
        elif kind == 5:
            nodes.append(node("Mul", f"{a} t{i - 3}", b))
        else:
            nodes.append(node(("Relu", "Sigmoid")[kind - 1], a, b))
    return build(nodes, {"t0": [1, 4]}, {f"t{n}": [1, 4]}, constants)


def norms(n: int) -> bytes:
    """Convolutions with batch norms, some of which cannot be folded."""
    nodes, constants = [], {"w": np.ones((2, 2, 1, 1), np.float32), "one": np.ones(2, np.float32)}
    for i in range(n // 2):
        nodes.append(node("Conv", f"t{i} w", f"c{i}") if i % 3 else node("Relu", f"t{i}", f"c{i}"))
        nodes.append(node("BatchNormalization", f"c{i} one one one one", f"t{i + 1}"))
    return build(nodes, {"t0": [1, 2, 3, 3]}, {f"t{n // 2}": [1, 2, 3, 3]}, constants)


def sums(n: int) -> bytes:
    """A .tflite: ADDs and RESHAPEs in a chain, each sum also an input of a CONCATENATION at the end of ten."""
    tensors = {"t0": Tensor("t0", (1, 4), "int8", Q)}
    nodes: list[Node] = []

    def add(op, *ins):
        [(shape, _)] = op.infer([tensors[i] for i in ins], [])
        name = f"t{len(nodes) + 1}"
        tensors[name] = Tensor(name, shape, "int8", Q)
        nodes.append(Node(name, op, ins, (name,)))
        return name

    last, ends = "t0", []
    for i in range(n):
        last = add(Reshape((1, 4)), last) if i % 5 == 4 else add(Add(), last, last)
        ends = [*ends, last][-10:]
        if i % 10 == 9:
            joined = add(Concatenation(1), *ends)
    return writer.write(Graph("sums", tuple(nodes), tensors, ("t0",), (joined,)))


def through(data: bytes, front_end) -> None:
    """What `inspect` and `compile` do, but for the compiler."""
    graph = front_end.parse(data, "m", "m")
    summarize(graph).to_dict()
    compiled_folder.contents(pipeline.executable(graph), boards.load("host"))


@pytest.mark.parametrize("make", [relus, mixed, norms, sums], ids=lambda m: m.__name__)
def test_import_inspect_and_compile_are_linear_in_the_nodes(make):
    front_end = tflite if make is sums else onnx
    through(make(12), front_end)  # what is done once for all
    small, large = (lines(lambda n=n: through(make(n), front_end)) for n in (SMALL, SMALL * TIMES))
    assert large < SLACK * TIMES * small, f"{large / small:.2f} times the lines for {TIMES} times the nodes"


@pytest.mark.parametrize("n", [300, 3000])
def test_planning_has_a_bound(n):
    """Whatever is alive at the same time: here everything, in pairs that do not fit each other."""
    groups = [Group((f"t{i}",), 4 * (i % 37 + 1), 4, i % 11, n - i % 7) for i in range(n)]
    place(groups[:2])
    count = lines(lambda: place(groups))
    assert count < 8 * WORK, f"{count} lines"
    offsets, size = place(groups)
    ends = sorted((offsets[g.members], offsets[g.members] + g.bytes) for g in groups)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends)) and size == ends[-1][1]
