"""Encoded weights: instructions and bytes a weight against dense int8, on three cores; the tables of costs that
`choose_encodings` estimates by (targets/CORE/weights.json); and what it makes of whole models.

Each graph has one layer for each density and encoding, all of the same shape and the same input, so that the counter
tells them apart. Outputs are compared with the reference.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import CORES, SHARED, differing, firmware, publish, random_inputs, table

from intaglio import assets, boards, build, interpret, oracle, pipeline, profile, runners, tools
from intaglio.graph import Array, Graph, Node, Quant, Tensor, constant
from intaglio.kernels.costs import FILE, measured, work
from intaglio.kernels.encodings import encode, matrix, names
from intaglio.ops.base import Call, Op
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.fully_connected import FullyConnected
from intaglio.select.weights import PREFERENCES, choose_encodings

DENSITIES = (0.05, 0.1, 0.25, 0.5, 1.0)
MODELS = ("kws_int8", "ic_int8")
INPUTS = 8
SHOWN = ("M0+", "M4", "M55")
NM = {0.25: 1, 0.5: 2}
"""Densities at which N of each 4 weights are nonzeros, for that encoding."""
VALUES = [v for v in range(-8, 8) if v]
"""With 0 they are 16: indices of 4 bits, or packed as they are."""


@dataclass(frozen=True)
class Shape:
    """A layer: of its operator, input [h][w][c] or [c], weights."""

    op: Op
    x: tuple[int, ...]
    weights: tuple[int, ...]


SHAPES = {
    "CONV_2D 3x3, 16 to 32 channels, 12x12": Shape(Conv2D(), (12, 12, 16), (32, 3, 3, 16)),
    "FULLY_CONNECTED, 256 to 64": Shape(FullyConnected(), (256,), (64, 256)),
}
FITTED = {
    "conv2d": [
        *(s for s in SHAPES.values() if isinstance(s.op, Conv2D)),
        Shape(Conv2D(pads=(1, 1, 1, 1)), (5, 5, 16), (16, 3, 3, 16)),
        Shape(Conv2D(), (5, 5, 64), (32, 1, 1, 64)),
        Shape(Conv2D(), (16, 16, 1), (20, 5, 5, 1)),
        Shape(Conv2D(pads=(1, 1, 1, 1)), (14, 14, 8), (12, 3, 3, 8)),
    ],
    "fully_connected": [
        *(s for s in SHAPES.values() if isinstance(s.op, FullyConnected)),
        Shape(FullyConnected(), (400,), (30, 400)),
        Shape(FullyConnected(), (30,), (100, 30)),
    ],
}
"""By operator, what the costs are fitted to."""


@dataclass(frozen=True)
class Layer:
    """What was measured of one layer."""

    encoding: str
    density: float
    nbytes: int
    macs: int
    weights: Array
    call: Call
    instructions: int


def main() -> None:
    found = {core: {name: plain(measure(shape, core)) for name, shape in SHAPES.items()} for core in SHOWN}
    costs = {core: fit(core) for core in SHOWN}
    for core, kernels in costs.items():
        target = assets.root() / "targets" / boards.load(CORES[core]).target
        (target / FILE).write_text(json.dumps(kernels, indent=1) + "\n")
    measured.cache_clear()
    models = {name: whole(name) for name in MODELS if SHARED.exists()}
    code = {core: {kernel: int(cost["code"]) for kernel, cost in each.items()} for core, each in costs.items()}
    publish("encodings", report(found, code, models), {"layers": found, "code": code, "models": models})


def pruned(shape: tuple[int, ...], density: float, rng: np.random.Generator, each_4: int = 0) -> Array:
    """Weights of 16 values, small ones the most frequent, of which `density` or `each_4` of each 4 are nonzeros."""
    chance = np.exp(-np.abs(np.array(VALUES)) / 3)
    w = rng.choice(np.array(VALUES, np.int8), shape, p=chance / chance.sum())
    rows = w.reshape(shape[0], -1)
    kept = rng.random(rows.shape) < density
    if each_4:
        ranks = np.argsort(rng.random((len(rows), -(-rows.shape[1] // 4), 4)), axis=2)
        kept = (ranks < each_4).reshape(len(rows), -1)[:, : rows.shape[1]]
    return np.asarray((rows * kept).reshape(shape), np.int8)


def graph_of(shape: Shape) -> Graph:
    """A layer for each density and encoding that can hold it, named ENCODING:DENSITY."""
    x = Tensor("x", (1, *shape.x), "int8", Quant((0.05,), (3,)))
    tensors: dict[str, Tensor] = {"x": x}
    nodes = []
    for density in DENSITIES:
        rng = np.random.default_rng(1)
        for encoding in ("", *names()):
            each_4 = NM.get(density, 0) if encoding == "nm" else 0
            data = pruned(shape.weights, density, rng, each_4)
            if encoding and (encode(encoding, matrix(data)) is None or (encoding == "nm" and not each_4)):
                continue
            name = f"{encoding}:{density}"
            w = replace(constant(f"w{name}", data, Quant((0.01,), (0,))), encoding=encoding)
            bias = constant(f"b{name}", np.arange(shape.weights[0], dtype=np.int32), Quant((0.0005,), (0,)))
            out = shape.op.infer([x, w, bias], [])[0][0]
            y = Tensor(name, out, "int8", Quant((0.05,), (0,)))
            tensors |= {t.name: t for t in (w, bias, y)}
            nodes.append(Node(name, shape.op, ("x", w.name, bias.name), (name,)))
    return Graph("layers", tuple(nodes), tensors, ("x",), tuple(n.name for n in nodes))


def measure(shape: Shape, core: str) -> list[Layer]:
    """Each layer of `graph_of` on a core. Raises SystemExit when a byte differs."""
    graph = graph_of(shape)
    x = [np.random.default_rng(2).integers(-128, 128, (2, *graph.tensors["x"].shape)).astype(np.int8)]
    with firmware(graph, CORES[core]) as built:
        seen = profile.profile(built, x, interpret.run(graph, x))
    if not seen.bit_exact:
        raise SystemExit(f"{shape} on {core}: outputs differ")
    found = []
    target = boards.load(CORES[core]).load_target()
    for node, cost in zip(pipeline.selected(graph, target).nodes, seen.layers, strict=True):
        encoding, _, density = node.name.partition(":")
        weights = matrix(np.asarray(graph.tensors[node.inputs[1]].data))
        encoded = encode(encoding, weights) if encoding else None
        nbytes = weights.nbytes if encoded is None else encoded.nbytes
        count = cost.instructions or 0
        found.append(Layer(encoding, float(density), nbytes, cost.macs, weights, node.calls[0], count))
    print(f"{core} {shape.weights}: {len(found)} layers", flush=True)
    return found


def whole(name: str) -> dict[str, dict[str, dict[str, int]]]:
    """An int8 model under each preference, by core: sizes, instructions, bytes that differ from the oracle's."""
    path = SHARED / "models" / f"{name}.tflite"
    graph = pipeline.load(path)
    x = random_inputs(graph, INPUTS, 1)
    expected = oracle.run(path.read_bytes(), x)
    found: dict[str, dict[str, dict[str, int]]] = {}
    for preference in PREFERENCES:
        found[preference] = {}
        for core in ("host", *SHOWN):
            board = boards.load(CORES.get(core, core))
            stored = choose_encodings(pipeline.lower(graph), preference, board.target)
            with firmware(stored, board.name) as fw:
                if core == "host":
                    result = {"differing": differing(runners.run(fw, x).outputs, expected)}
                else:
                    seen = profile.profile(fw, x, expected)
                    memory = {"flash": seen.memory.flash_bytes, "ram": seen.memory.ram_bytes}
                    count = {"instructions": seen.latency.instructions or 0}
                    result = {"differing": differing(seen.result.outputs, expected), **memory, **count}
            found[preference][core] = result
        print(f"{name} {preference}: {found[preference]}", flush=True)
    return found


def fit(core: str) -> dict[str, dict[str, float]]:
    """Costs of each kernel on a core: bytes of code, and instructions by least squares of the relative error."""
    costs = {}
    for op, shapes in FITTED.items():
        layers = [layer for shape in shapes for layer in measure(shape, core)]
        for kernel in sorted({layer.call.kernel for layer in layers}):
            mine = [layer for layer in layers if layer.call.kernel == kernel]
            costs[kernel] = {"code": code_bytes(kernel, core), **least_squares(mine)}
        # No layer above has weights of 2 bits: they are as those of 4.
        costs[f"{op}_s2"] = {**costs[f"{op}_s4"], "code": code_bytes(f"{op}_s2", core)}
    return dict(sorted(costs.items()))


def least_squares(layers: list[Layer]) -> dict[str, float]:
    """Instructions of each kind of work, none of them negative."""
    done = [work(layer.call, layer.weights) for layer in layers]
    counts = np.array([layer.instructions for layer in layers], np.float64)
    kinds = [kind for kind in done[0] if any(d[kind] for d in done)]
    while True:
        a = np.array([[d[kind] for kind in kinds] for d in done]) / counts[:, None]
        found = np.linalg.lstsq(a, np.ones(len(counts)), rcond=None)[0]
        if (found >= 0).all():
            break
        kinds.pop(int((found * a.max(axis=0)).argmin()))
    errors = np.abs(a @ found - 1)
    worst = layers[int(errors.argmax())]
    where = f"{worst.weights.shape}, {worst.density:.0%}"
    print(f"{worst.call.kernel}: within {errors.max():.1%} of {len(layers)} layers ({where})", flush=True)
    return {kind: float(f"{value:.4g}") for kind, value in zip(kinds, found, strict=True) if value > 0}


def code_bytes(kernel: str, core: str) -> int:
    """Code and constants of a kernel, compiled for a core."""
    root = assets.root() / "runtime_c"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kernel.o"
        flags = [f"-I{root / 'include'}", f"-I{root / 'kernels' / 'c'}"]
        [source] = (root / "kernels").glob(f"*/{kernel}.c")
        command = build.compile_command(boards.load(CORES[core]).load_target(), source, out, flags, "gcc")
        tools.call(command, timeout=60)
        text = tools.call([tools.find("arm-none-eabi-size"), out], timeout=60).tail(1)
    return int(text.split()[0]) + int(text.split()[1])


def plain(layers: list[Layer]) -> list[dict[str, Any]]:
    """For the JSON, per weight and per multiply-accumulate of a dense layer."""
    return [
        {
            "encoding": layer.encoding or "dense",
            "density": layer.density,
            "bytes_per_weight": round(layer.nbytes / layer.weights.size, 3),
            "instructions_per_mac": round(layer.instructions / layer.macs, 2),
        }
        for layer in layers
    ]


def report(data: Any, code: dict[str, dict[str, int]], models: dict[str, Any]) -> str:
    """benchmarks/results/encodings.md."""
    parts = [
        "# Encoded weights",
        "",
        "Made by `make bench`. A layer in each encoding, with weights of 15 values beside 0, of which so many are",
        "nonzeros (nm: 1 or 2 of each 4). Bytes are those of flash, tables included, for each weight; instructions are",
        "counted in QEMU, for each multiply-accumulate of the dense layer, with portable C kernels. All outputs equal",
        "the reference.",
    ]
    for name in SHAPES:
        first = data[SHOWN[0]][name]
        encodings = list(dict.fromkeys(row["encoding"] for row in first))
        parts += ["", f"## {name}"]
        titles = {"bytes_per_weight": ["bytes a weight"], "instructions_per_mac": [f"instructions, {c}" for c in SHOWN]}
        for key, headings in titles.items():
            for core, heading in zip(SHOWN, headings, strict=False):
                at = {(r["encoding"], r["density"]): r[key] for r in data[core][name]}
                rows = [[e, *(at.get((e, d), "") for d in DENSITIES)] for e in encodings]
                parts += ["", table([f"{heading}; nonzeros", *(f"{d:.0%}" for d in DENSITIES)], rows).rstrip()]
    kernels = [[kernel, *(code[core][kernel] for core in SHOWN)] for kernel in code[SHOWN[0]]]
    parts += ["", "## Code", "", table(["kernel, bytes", *SHOWN], kernels)]
    for name, found in models.items():
        rows = []
        for preference, cores in found.items():
            for core in SHOWN:
                of = cores[core]
                rows.append([f"{preference}, {core}", of["flash"], of["ram"], of["instructions"], of["differing"]])
            rows.append([f"{preference}, host", "", "", "", cores["host"]["differing"]])
        head = ["`--weights`, core", "flash", "RAM", "instructions", f"bytes that differ, {INPUTS} inputs"]
        parts += [f"## {name}", "", table(head, rows)]
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    main()
