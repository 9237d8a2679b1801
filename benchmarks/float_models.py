"""The MLPerf Tiny float models as float32 C: how far from LiteRT, on the host and the emulated M4. All nine compile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import CORES, SHARED, firmware, publish, table

from intaglio import interpret, models, pipeline, profile, runners
from intaglio.emit.tflite import write
from intaglio.graph import Graph
from intaglio.profile import relative_error
from intaglio.summary import summarize

MODELS = ("ad", "kws", "ic", "vww")
INPUTS = 50
LIMIT = 1e-4
"""Relative error: the largest difference of an output by its largest value."""
BOARDS = {"host": "host", "M4": CORES["M4"]}
REFERENCE = "BUILTIN_REF"
Arrays = list[np.ndarray[Any, Any]]


def main() -> None:
    nine = {path.stem: compiles(path) for path in sorted((SHARED / "models").glob("*.tflite"))}
    results = {name: judge(name) for name in MODELS}
    publish("float_models", report(results, nine), {"float": results, "all": nine})
    worst = max(r["boards"][b]["error"] for r in results.values() for b in BOARDS)
    if worst > LIMIT:
        raise SystemExit(f"float_models: {worst:.1e} from LiteRT, more than {LIMIT}")


def compiles(path: Path) -> dict[str, Any]:
    """What inspect says of a model, and its sizes as firmware for the M4; stops where a model does not compile."""
    summary = summarize(models.shown(path))
    if summary.problems:
        raise SystemExit(f"{path.name}: {summary.problems}")
    with firmware(models.opened(path), BOARDS["M4"]) as fw:
        return {
            "kind": summary.kind,
            "operators": len(summary.layers),
            "macs": summary.macs,
            "flash_bytes": fw.sizes.flash_bytes,
            "flash_code_bytes": fw.sizes.flash_code_bytes,
            "ram_bytes": fw.sizes.ram_bytes,
            "arena_bytes": fw.sizes.arena_bytes,
        }


def judge(name: str) -> dict[str, Any]:
    """All figures of one model."""
    path = SHARED / "models" / f"{name}_float.tflite"
    graph = models.opened(path)
    x = inputs_of(name, graph)
    # Weights that the file holds as int8 are floats in this copy: of the file itself, LiteRT quantizes the activations
    # as well, at run time, and its own kernels then differ from each other (see the report).
    want = litert(write(graph), x)
    found: dict[str, Any] = {
        "inputs": INPUTS,
        "numpy_error": relative_error(interpret.run(graph, [x]), want),
        "file_error": relative_error(litert(path.read_bytes(), x), want),
        "file_error_ref": relative_error(litert(path.read_bytes(), x, REFERENCE), want),
        "boards": {},
    }
    for label, board in BOARDS.items():
        with firmware(graph, board) as fw:
            outputs = runners.run(fw, [x], timeout=3600).outputs
            cost = profile.profile(fw, [x[:2]]).to_dict()
        found["boards"][label] = {
            "error": relative_error(outputs, want),
            "instructions": cost["latency"]["instructions"],
            **cost["memory"],
        }
        print(f"{name} on {label}: {found['boards'][label]}", flush=True)
    return found


def inputs_of(name: str, graph: Graph) -> np.ndarray[Any, Any]:
    """Uniformly random floats over the range that the model's int8 sibling takes."""
    sibling = pipeline.load(SHARED / "models" / f"{name}_int8.tflite")
    t = sibling.tensors[sibling.inputs[0]]
    low, high = ((v - t.zero_point) * t.scale for v in (-128, 127))
    shape = (INPUTS, *graph.tensors[graph.inputs[0]].shape)
    return np.random.default_rng(7).uniform(low, high, shape).astype(np.float32)


def litert(model: bytes, x: np.ndarray[Any, Any], resolver: str = "AUTO") -> Arrays:
    """Outputs of LiteRT, one thread; by default with what it takes by itself (XNNPACK)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model, num_threads=1, experimental_op_resolver_type=OpResolverType[resolver]
    )
    interpreter.allocate_tensors()
    [source] = interpreter.get_input_details()
    rows: list[Sequence[np.ndarray[Any, Any]]] = []
    for one in x:
        interpreter.set_tensor(source["index"], one)
        interpreter.invoke()
        rows.append([interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()])
    return [np.stack([row[k] for row in rows]) for k in range(len(rows[0]))]


def report(results: dict[str, dict[str, Any]], nine: dict[str, dict[str, Any]]) -> str:
    """benchmarks/results/float_models.md."""
    every = results.values()
    errors = [
        *([f"C on {label}"] + [f"{r['boards'][label]['error']:.1e}" for r in every] for label in BOARDS),
        ["NumPy reference", *(f"{r['numpy_error']:.1e}" for r in every)],
        ["LiteRT (XNNPACK) on the file as it is", *(f"{r['file_error']:.1e}" for r in every)],
        ["LiteRT (reference kernels) on the file as it is", *(f"{r['file_error_ref']:.1e}" for r in every)],
    ]
    figures = ("instructions", "flash_bytes", "flash_code_bytes", "ram_bytes", "arena_bytes", "stack_bytes")
    cost = [[key.replace("_", " "), *(r["boards"]["M4"][key] for r in every)] for key in figures]
    rows = [[name, *(str(v) if isinstance(v, str) else v for v in found.values())] for name, found in nine.items()]
    header = [key.replace("_", " ") for key in next(iter(nine.values()))]
    return "\n".join(
        [
            "# Float models as float32 C",
            "",
            "Made by `make bench`. Relative error: the largest difference of an output by its largest value, over",
            f"{INPUTS} random inputs. Float32 is not bit-exact: the order of sums is the compiler's and the kernel's.",
            "",
            "## Distance from LiteRT",
            "",
            "LiteRT 2.3 (XNNPACK, its default). The weights of KWS's convolutions are int8 in the file and the rest is",
            "float: intaglio computes with the floats that they stand for, and is compared with LiteRT on the same",
            "weights as floats. On the file itself LiteRT also quantizes activations while it runs; the last two rows",
            "say how far from those floats that takes its own kernels.",
            "",
            table(["", *(n.upper() for n in results)], errors),
            "## Cost on the Cortex-M4, float32 C",
            "",
            table(["", *(n.upper() for n in results)], cost),
            "## Every model in ../shared/models, compiled for the Cortex-M4 as it is",
            "",
            table(["", *header], rows),
        ]
    )


if __name__ == "__main__":
    main()
