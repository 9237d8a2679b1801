"""What the code that intaglio emits costs, layer by layer: benchmarks/sizes.json, which `make test` compares with.

`python benchmarks/run.py sizes` writes it anew. Whoever changes a figure for the worse changes the file with it, so
that the cost stands in the same commit as its reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from common import CORES, ROOT, SHARED, firmware

from intaglio import boards, pipeline, profile, tools
from intaglio.graph import DTYPES, INT_RANGE, DTypeName, Graph, Node, Quant, Tensor, constant, verify
from intaglio.ops.add import Add
from intaglio.ops.average_pool2d import AveragePool2D
from intaglio.ops.base import Op
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.logistic import Logistic
from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.ops.mul import Mul
from intaglio.ops.reshape import Reshape
from intaglio.ops.softmax import Softmax

FILE = ROOT / "benchmarks" / "sizes.json"
SHOWN = ("M0+", "M4", "M55", "A72")
FIGURES = ("instructions", "flash_code_bytes", "flash_weight_bytes", "arena_bytes", "stack_bytes")
FROM_SHARED = ("ad_int8", "kws_int8")
GROWTH = 1.01
"""A figure may grow by 1 %, and by FEW, before the test fails."""
FEW = 16


@dataclass
class Network:
    """A graph while layers are added. Integers have scales that keep most values inside their range."""

    dtype: DTypeName
    encoding: str = ""
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def quant(self, scale: float = 0.05, zero_point: int = -3) -> Quant | None:
        if self.dtype == "float32":
            return None
        return Quant((float(np.float32(scale)),), (zero_point if self.dtype == "int8" else 0,))

    def weights(self, shape: tuple[int, ...]) -> str:
        """Four of five are zeros where there is an encoding."""
        data = self.rng.integers(-127, 128, shape)
        if self.encoding:
            data[self.rng.random(shape) < 0.8] = 0
        name = f"w{len(self.tensors)}"
        if self.dtype == "float32":
            self.tensors[name] = constant(name, (data / 500).astype(np.float32))
        else:
            w = constant(name, data.astype(np.int8), Quant((float(np.float32(0.002)),), (0,)))
            self.tensors[name] = replace(w, encoding=self.encoding)
        return name

    def bias(self, channels: int) -> str:
        data, name = self.rng.integers(-200, 200, channels), f"b{len(self.tensors)}"
        kind = {"float32": np.float32, "int16": np.int64}.get(self.dtype, np.int32)
        self.tensors[name] = constant(name, data.astype(kind))
        return name

    def add(self, name: str, op: Op, *ins: str, quant: Quant | None = None) -> str:
        shape, dtype = op.infer([self.tensors[n] for n in ins], [])[0]
        self.tensors[name] = Tensor(name, shape, dtype, quant or self.quant())
        self.nodes.append(Node(name, op, ins, (name,)))
        return name

    def layer(self, name: str, op: Op, x: str, shape: tuple[int, ...], channels: int) -> str:
        return self.add(name, op, x, self.weights(shape), self.bias(channels))


def network(dtype: DTypeName, encoding: str = "") -> Graph:
    """Convolutions of all kinds, pools, elementwise operators and a classifier; with an encoding only those layers
    that have a kernel for it."""
    n = Network(dtype, encoding)
    n.tensors["x"] = Tensor("x", (1, 16, 16, 4), dtype, n.quant())
    same = (1, 1, 1, 1)
    a = n.layer("conv3x3", Conv2D(pads=same, activation="relu"), "x", (16, 3, 3, 4), 16)
    if encoding:
        a = n.layer("conv3x3s2", Conv2D((2, 2), pads=same, activation="relu"), a, (24, 3, 3, 16), 24)
        a = n.add("pool", MaxPool2D((8, 8), (8, 8)), a)
    else:
        a = n.layer("depthwise", DepthwiseConv2D((2, 2), pads=same, activation="relu"), a, (1, 3, 3, 16), 16)
        b = n.layer("pointwise", Conv2D(), a, (16, 1, 1, 16), 16)
        a = n.add("add", Add(activation="relu"), a, b)
        c = n.add("max_pool", MaxPool2D((2, 2), (2, 2)), a)
        d = n.add("average_pool", AveragePool2D((2, 2), (2, 2)), a)
        a = n.add("concat", Concatenation(3), c, d)
        gate = {"int8": Quant((1 / 256,), (-128,)), "int16": Quant((1 / 32768,), (0,))}.get(dtype)
        a = n.add("mul", Mul(), a, n.add("logistic", Logistic(), a, quant=gate))
        a = n.add("global", AveragePool2D((4, 4), (4, 4)), a)
    size = n.tensors[a].size
    a = n.add("flat", Reshape((1, size)), a)
    a = n.layer("dense", FullyConnected(activation="relu"), a, (40, size), 40)
    a = n.layer("scores", FullyConnected(), a, (10, 40), 10)
    last = {"int8": Quant((1 / 256,), (-128,)), "int16": Quant((1 / 32768,), (0,))}.get(dtype)
    a = n.add("softmax", Softmax(), a, quant=last)
    name = f"{dtype}_{encoding}" if encoding else dtype
    return verify(Graph(name, tuple(n.nodes), n.tensors, ("x",), (a,)), "float")


MADE: dict[str, Callable[[], Graph]] = {
    "int8": lambda: network("int8"),
    "int16": lambda: network("int16"),
    "float32": lambda: network("float32"),
    "int8_relative": lambda: network("int8", "relative"),
    "int8_huffman": lambda: network("int8", "huffman"),
}


def names() -> list[str]:
    """The models that there are here."""
    return [*MADE, *(name for name in FROM_SHARED if (SHARED / "models" / f"{name}.tflite").exists())]


def graph_of(name: str) -> Graph:
    return MADE[name]() if name in MADE else pipeline.load(SHARED / "models" / f"{name}.tflite")


def measure(name: str, core: str) -> dict[str, Any]:
    """FIGURES of a model on a core, and the instructions of each layer."""
    graph = graph_of(name)
    with firmware(graph, CORES[core]) as built:
        found = profile.profile(built, _inputs(graph))
    memory = found.to_dict()["memory"]
    figures = {"instructions": found.latency.instructions, **{k: memory[k] for k in FIGURES if k in memory}}
    return {**figures, "layers": {f"{i} {cost.name}": cost.instructions for i, cost in enumerate(found.layers)}}


def _inputs(graph: Graph) -> list[np.ndarray[Any, Any]]:
    """Two inputs: random integers, or random floats around 0."""
    rng = np.random.default_rng(1)
    found = []
    for t in (graph.tensors[name] for name in graph.inputs):
        shape, bounds = (2, *t.shape), INT_RANGE.get(t.dtype)
        values = rng.normal(size=shape) if bounds is None else rng.integers(bounds[0], bounds[1] + 1, shape)
        found.append(values.astype(DTYPES[t.dtype]))
    return found


def compilers() -> dict[str, str]:
    """The versions on which code depends, by core."""
    found = {}
    for core in SHOWN:
        program = tools.find(boards.load(CORES[core]).load_target().gcc.program)
        found[core] = tools.call([program, "-dumpfullversion"], timeout=30).output.strip()
    return found


def worse(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has grown by more than GROWTH, one phrase a figure; of layers, those that grew the most."""
    found = [
        f"{figure} {before[figure]:,} -> {now[figure]:,} ({now[figure] / max(1, before[figure]) - 1:+.1%})"
        for figure in FIGURES
        if _grown(before[figure], now[figure])
    ]
    layers = [
        (now["layers"][name] - count, f"layer {name}: {count:,} -> {now['layers'][name]:,} instructions")
        for name, count in before["layers"].items()
        if name in now["layers"] and _grown(count, now["layers"][name])
    ]
    return found + [text for _, text in sorted(layers, reverse=True)[:5]]


def better(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has shrunk by as much."""
    return [
        f"{figure} {before[figure]:,} -> {now[figure]:,}" for figure in FIGURES if _grown(now[figure], before[figure])
    ]


def _grown(before: int, now: int) -> bool:
    return now > before * GROWTH and now > before + FEW


def main() -> None:
    known = json.loads(FILE.read_text())["models"] if FILE.exists() else {}
    models = {name: {core: measure(name, core) for core in SHOWN} for name in names()}
    # Figures of models that are not here stay.
    FILE.write_text(json.dumps({"compilers": compilers(), "models": {**known, **models}}, indent=1) + "\n")
    print(f"wrote {FILE.relative_to(ROOT)}")
