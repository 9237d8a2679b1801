"""Time against size: models of 1,000 to 20,000 nodes and of 0.1 to 10 million weights, through each stage in this
process, and through `intaglio inspect` and `intaglio compile` as programs. Times are CPU seconds, the compiler's too.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from common import publish, table
from onnx import TensorProto, helper, numpy_helper

from intaglio import pipeline, targets
from intaglio.emit import tflite as writer
from intaglio.emit.c import emit
from intaglio.graph import Graph, Node, Quant, Tensor, constant, verify
from intaglio.ops.add import Add
from intaglio.ops.fully_connected import FullyConnected
from intaglio.plan.memory import plan
from intaglio.select.select import select
from intaglio.summary import summarize

NODES = (1_000, 5_000, 20_000)
WEIGHTS = (100_000, 1_000_000, 10_000_000)
STAGES = ("import", "inspect", "lower", "plan", "emit", "build")


def main() -> None:
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, sizes, make in CASES:
            results[title] = {}
            for size in sizes:
                path = folder / f"m{size}.{'onnx' if 'ONNX' in title else 'tflite'}"
                path.write_bytes(make(size))
                results[title][str(size)] = measured(path, folder)
                print(f"{title}, {size:,}: {results[title][str(size)]}", flush=True)
                path.unlink()
    publish("scaling", report(results), results)


# ---- models ---------------------------------------------------------------------------------------------------------


def relus(n: int) -> bytes:
    """A chain of Relu."""
    return chain([helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"]) for i in range(n)], {})


def mixed(n: int) -> bytes:
    """Small operators in a chain: ADD of a constant, RESHAPE, MUL with an earlier result, logistic, Relu."""
    nodes, constants = [], {}
    for i in range(n):
        a, b = f"t{i}", f"t{i + 1}"
        match i % 5:
            case 0:
                nodes.append(helper.make_node("Relu", [a], [b]))
            case 1:
                constants[f"c{i}"] = np.arange(4, dtype=np.float32) + i
                nodes.append(helper.make_node("Add", [a, f"c{i}"], [b]))
            case 2:
                nodes.append(helper.make_node("Sigmoid", [a], [b]))
            case 3:
                constants[f"c{i}"] = np.array([1, 2, 2] if i % 2 else [1, 4])
                nodes.append(helper.make_node("Reshape", [a, f"c{i}"], [f"r{i}"]))
                constants[f"d{i}"] = np.array([1, 4])
                nodes.append(helper.make_node("Reshape", [f"r{i}", f"d{i}"], [b]))
            case _:
                nodes.append(helper.make_node("Mul", [a, f"t{i - 3}"], [b]))
    return chain(nodes, constants)


def chain(nodes: list[onnx.NodeProto], constants: dict[str, Any]) -> bytes:
    """An ONNX model from t0 to the last node's output, four floats each."""
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4])] for n in ("t0", nodes[-1].output[0])]
    held = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "chain", *ends, held)
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()


def sums(n: int) -> bytes:
    """A chain of int8 ADD."""
    q = Quant((0.5,), (0,))
    tensors = {f"t{i}": Tensor(f"t{i}", (1, 4), "int8", q) for i in range(n + 1)}
    nodes = tuple(Node(f"t{i + 1}", Add(), (f"t{i}", f"t{i}"), (f"t{i + 1}",)) for i in range(n))
    return writer.write(Graph("chain", nodes, tensors, ("t0",), (f"t{n}",)))


def dense(n: int, dtype: str) -> bytes:
    """FULLY_CONNECTED layers, 1,000 to 1,000 but for a smaller last one."""
    rng = np.random.default_rng(0)
    quantized = dtype == "int8"
    quant = Quant((0.5,), (0,)) if quantized else None
    tensors = {"x": Tensor("x", (1, 1000), "int8" if quantized else "float32", quant)}
    nodes: list[Node] = []
    last = "x"
    for k, rows in enumerate([1000] * (n // 1_000_000) or [n // 1000]):
        values = rng.integers(-127, 128, (rows, 1000), np.int8) if quantized else rng.standard_normal((rows, 1000))
        scale = Quant((0.01,), (0,)) if quantized else None
        w = constant(f"w{k}", values if quantized else values.astype(np.float32), scale)
        b = constant(f"b{k}", np.zeros(rows, np.int32 if quantized else np.float32))
        y = replace(tensors["x"], name=f"y{k}", shape=(1, rows))
        tensors |= {t.name: t for t in (w, b, y)}
        nodes.append(Node(y.name, FullyConnected(), (last, w.name, b.name), (y.name,)))
        last = y.name
    return writer.write(Graph("dense", tuple(nodes), tensors, ("x",), (last,)))


CASES: tuple[tuple[str, tuple[int, ...], Callable[[int], bytes]], ...] = (
    ("ONNX, a chain of Relu, nodes", NODES, relus),
    ("ONNX, a chain of small operators, nodes", NODES, mixed),
    ("TFLite, a chain of int8 ADD, nodes", NODES, sums),
    ("TFLite, int8 weights", WEIGHTS, lambda n: dense(n, "int8")),
    ("TFLite, float32 weights", WEIGHTS, lambda n: dense(n, "float32")),
)


# ---- times ----------------------------------------------------------------------------------------------------------


def measured(path: Path, folder: Path) -> dict[str, float]:
    """CPU seconds of each stage, of the two programs, and the most memory of `compile`, MB."""
    found: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = work()
        found[stage] = round(time.process_time() - start, 2)
        return result

    graph = timed("import", lambda: pipeline.load(path))
    timed("inspect", lambda: summarize(graph).to_dict())
    lowered = timed("lower", lambda: pipeline.lower(graph))
    chosen = timed("select", lambda: select(lowered, targets.load("host")))
    planned = timed("plan", lambda: verify(plan(chosen), "planned"))
    timed("emit", lambda: emit(planned, "host"))
    graph = lowered = chosen = planned = None  # the programs below want the memory
    found["inspect, whole"] = program("inspect", path)[0]
    seconds, _ = program("compile", path, "--board", "host", "--no-build", "-o", folder / "c")
    found["compile --no-build"] = seconds
    found["compile"], found["MB"] = program("compile", path, "--board", "host", "-o", folder / "out")
    found["build"] = round(max(0.0, found["compile"] - seconds), 2)
    for made in ("c", "out"):
        subprocess.run(["rm", "-r", folder / made], check=True)
    return found


def program(*arguments: object) -> tuple[float, float]:
    """CPU seconds of `intaglio ARGUMENTS` with all that it starts, and the most memory that one of them took, MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", _MEASURED, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments} failed: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(seconds, 2), round(int(done.stderr.split()[-1]) / 1024)


_MEASURED = """
import atexit, resource, sys
from pathlib import Path
from intaglio.cli import main

def told():
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(max(int(own.split()[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss), file=sys.stderr)

atexit.register(told)
main()
"""
"""`intaglio` that tells its memory in kB. What wait4 says of a new process begins with what this one has."""


def report(results: dict[str, Any]) -> str:
    """benchmarks/results/scaling.md."""
    parts = [
        "# Time against size",
        "",
        "Made by `make bench`. CPU seconds: of the stages within one process; of `intaglio inspect`, `intaglio compile",
        "--board host --no-build` and `intaglio compile --board host` as a user starts them, with Python's start.",
        "`build` is what GCC adds. MB: the most memory of a process of `compile`, GCC's included.",
        "",
    ]
    whole = ("inspect, whole", "compile --no-build", "compile", "MB")
    heads = ["import", "describe", *STAGES[2:], "`inspect`", "`compile --no-build`", "`compile`", "MB"]
    for title, sizes in results.items():
        rows = [[f"{int(n):,}", *(r[s] for s in STAGES), *(r[w] for w in whole)] for n, r in sizes.items()]
        parts += [f"## {title}", "", table(["", *heads], rows)]
    return "\n".join(parts)


if __name__ == "__main__":
    main()
