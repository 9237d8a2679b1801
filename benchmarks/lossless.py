"""Lossless reduction: what it saves on each int8 model, and that no byte changes.

The judge is the original file in the tflite-micro wheel: on the host for 500 random inputs, on the Cortex-M4 for 8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import CORES, SHARED, differing, firmware, publish, random_inputs, table

from intaglio import oracle, pipeline, profile, runners
from intaglio.compress.lossless import lossless
from intaglio.graph import Array, Graph
from intaglio.ops.conv2d_borders import Conv2DBorders

HOST_INPUTS = 500
BOARD_INPUTS = 8
BOARD = CORES["M4"]


def main() -> None:
    paths = sorted((SHARED / "models").glob("*_int8.tflite"))
    results = {path.stem: judge(path) for path in paths}
    publish("lossless", report(results), results)


def judge(path: Path) -> dict[str, Any]:
    """Before and after, of one model file."""
    graph = pipeline.load(path)
    reduced = lossless(graph)
    inputs = random_inputs(graph, HOST_INPUTS, 1)
    expected = oracle.run(path.read_bytes(), inputs)
    found: dict[str, Any] = {"borders": sum(isinstance(n.op, Conv2DBorders) for n in reduced.nodes)}
    for what, g in (("before", graph), ("after", reduced)):
        with firmware(g, "host") as fw:
            host = differing(runners.run(fw, inputs).outputs, expected)
        found[what] = {"host_differing": host, **on_board(g, inputs, expected)}
    print(f"{path.stem}: {found}", flush=True)
    return found


def on_board(graph: Graph, inputs: list[Array], expected: list[Array]) -> dict[str, Any]:
    """Sizes and instructions on the Cortex-M4, and how many bytes of the outputs differ there."""
    few, want = [x[:BOARD_INPUTS] for x in inputs], [e[:BOARD_INPUTS] for e in expected]
    with firmware(graph, BOARD) as fw:
        seen = profile.profile(fw, few, want)
    return {
        "board_differing": differing(seen.result.outputs, want),
        "macs": graph.macs(),
        "filters": filter_bytes(graph),
        "instructions": seen.latency.instructions,
        **seen.to_dict()["memory"],
    }


def filter_bytes(graph: Graph) -> int:
    """Bytes of all weights, biases left out."""
    names = {n.inputs[1] for n in graph.nodes if len(n.inputs) > 1 and n.op.input_names[1:2] == ("weights",)}
    return sum(graph.tensors[name].nbytes for name in names)


ROWS = {
    "MACs": "macs",
    "weights, bytes": "filters",
    "weights and biases, bytes": "flash_weight_bytes",
    "M4 flash, bytes": "flash_bytes",
    "M4 RAM, bytes": "ram_bytes",
    "M4 arena, bytes": "arena_bytes",
    "M4 instructions": "instructions",
    f"host, {HOST_INPUTS} inputs: bytes that differ": "host_differing",
    f"M4, {BOARD_INPUTS} inputs: bytes that differ": "board_differing",
}


def report(results: dict[str, dict[str, Any]]) -> str:
    """benchmarks/results/lossless.md."""
    parts = [
        "# Lossless reduction",
        "",
        "Made by `make bench`: `intaglio compile --lossless` against the model as it is. Bytes are compared with those",
        "of the original file in the tflite-micro wheel. Instructions are of one inference in QEMU, with portable C",
        "kernels. Weights are the filters alone.",
    ]
    for name, found in results.items():
        rows = [[label, found["before"][key], found["after"][key]] for label, key in ROWS.items()]
        parts += ["", f"## {name}", "", table(["", "as it is", "lossless"], rows)]
        if found["borders"]:
            parts.append(f"Convolutions whose bias depends on the place: {found['borders']}.")
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    main()
