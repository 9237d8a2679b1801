"""The five MLPerf Tiny int8 models: every byte compared with the oracle, on the host and on every emulated core."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import CORES, ROOT, SHARED, differing, firmware, publish, random_inputs, table

from intaglio import oracle, pipeline, profile, runners
from intaglio.build import Firmware, symbols

MODELS = ("ad", "kws", "ic", "vww", "sww")
HOST_INPUTS = 200
BOARD_INPUTS = 8


def main() -> None:
    results = {name: judge(name) for name in MODELS}
    publish("models", report(results), results)
    update_readme(results)


FIGURES = {column.key: column for column in (*profile.LAYERS, *profile.MEMORY)}
README = ("macs", "instructions", "flash_bytes", "flash_code_bytes", "ram_bytes", "arena_bytes", "stack_bytes")
"""The columns of the README's table, of the Cortex-M4."""


def readme_row(found: dict[str, Any]) -> str:
    """The cells of a model, behind its name."""
    figures = {**found["boards"]["M4"], "macs": found["macs"]}
    return " | ".join(FIGURES[key].show(figures[key]) for key in README)


def update_readme(results: dict[str, dict[str, Any]]) -> None:
    """The README's table holds the Cortex-M4's figures; a test compares the two."""
    path = ROOT / "README.md"
    text = path.read_text()
    for name, found in results.items():
        text = re.sub(rf"^\| {name.upper()} \| .*$", f"| {name.upper()} | {readme_row(found)} |", text, flags=re.M)
    path.write_text(text)


def judge(name: str) -> dict[str, Any]:
    """All figures of one model; stops at the first byte that differs, since no figure counts without that."""
    path = SHARED / "models" / f"{name}_int8.tflite"
    model = path.read_bytes()
    graph = pipeline.load(path)
    found: dict[str, Any] = {"macs": graph.macs(), "boards": {}}
    inputs = random_inputs(graph, HOST_INPUTS, 1)
    expected = oracle.run(model, inputs)
    with firmware(graph, "host") as fw:
        found["host"] = {"inputs": HOST_INPUTS, "differing": differing(runners.run(fw, inputs).outputs, expected)}
        if name == "kws":
            found["kws01"] = keyword_test(model, fw)
    for core, board in CORES.items():
        few = [x[:BOARD_INPUTS] for x in inputs]
        with firmware(graph, board) as fw:
            report_ = profile.profile(fw, few, [e[:BOARD_INPUTS] for e in expected])
            found["boards"][core] = {
                "inputs": BOARD_INPUTS,
                "differing": differing(report_.result.outputs, [e[:BOARD_INPUTS] for e in expected]),
                "instructions": report_.latency.instructions,
                **report_.to_dict()["memory"],
            }
            if core == "M4":
                found["layers"] = report_.to_dict()["layers"]
                found["independent_count"] = independent_count(fw, few)
        print(f"{name} on {core}: {found['boards'][core]}", flush=True)
    return found


def keyword_test(model: bytes, fw: Firmware) -> dict[str, Any]:
    """The 1,000 official keyword inputs on the host."""
    data = np.load(SHARED / "data" / "kws01.npz")
    x, y = data["x"].reshape(-1, 1, 49, 10, 1), data["y"]
    got = runners.run(fw, [x]).outputs
    scores, labels = got[0].reshape(len(x), -1), y.ravel().astype(int)
    first = scores.argmax(axis=1) == labels
    # Three inputs have two classes with equal outputs; whether such a tie counts as right makes one input's difference.
    tied = scores[np.arange(len(x)), labels] == scores.max(axis=1)
    return {
        "inputs": len(x),
        "differing": differing(got, oracle.run(model, [x])),
        "right_with_ties": int(tied.sum()),
        "right_by_first_maximum": int(first.sum()),
    }


def independent_count(fw: Firmware, inputs: list[np.ndarray[Any, Any]]) -> int | None:
    """Instructions of the second inference by shared/tools/icnt.c, a counter that is not ours."""
    source = SHARED / "tools" / "icnt.c"
    if not source.exists():
        return None
    with tempfile.TemporaryDirectory() as tmp:
        plugin, out = Path(tmp) / "icnt.so", Path(tmp) / "out.txt"
        subprocess.run(["gcc", "-O2", "-w", "-fPIC", "-shared", "-o", plugin, source], check=True)
        at = symbols(fw.elf)
        begin, end = at["itg_mark_begin"][0], at["itg_mark_end"][0]
        runners.run(fw, inputs, qemu_args=["-plugin", f"{plugin},begin={begin:#x},end={end:#x},out={out}"])
        counts = [int(line.split("insns=")[1].split()[0]) for line in out.read_text().splitlines() if "REGION" in line]
    return counts[1]


def report(results: dict[str, dict[str, Any]]) -> str:
    """benchmarks/results/models.md."""
    names = list(results)
    head = [n.upper() for n in names]
    m4 = {n: r["boards"]["M4"] for n, r in results.items()}
    rows = [
        ["MACs", *(r["macs"] for r in results.values())],
        [f"host, {HOST_INPUTS} inputs: bytes differing", *(r["host"]["differing"] for r in results.values())],
        *[
            [f"{core}, {BOARD_INPUTS} inputs: bytes differing"]
            + [r["boards"][core]["differing"] for r in results.values()]
            for core in CORES
        ],
    ]
    cost = [
        *[[f"{core} instructions", *(r["boards"][core]["instructions"] for r in results.values())] for core in CORES],
        ["M4 instructions, counted by icnt.c", *(r["independent_count"] or "" for r in results.values())],
    ]
    memory = [
        [f"M4 {key.replace('_', ' ')}", *(m4[n][key] for n in names)]
        for key in (
            "flash_bytes", "flash_weight_bytes", "flash_code_bytes", "ram_bytes", "arena_bytes", "arena_high_water",
            "stack_bytes",
        )
    ]  # fmt: skip
    kws = results["kws"]["kws01"]
    return "\n".join(
        [
            "# MLPerf Tiny int8 models",
            "",
            "Made by `make bench`. The oracle is the tflite-micro wheel (TFLM reference kernels). Instructions are",
            "counted in QEMU around the second inference; flash is the linked firmware of the test application, code",
            "is flash less weights and biases; the arena leaves out the caller's input and output buffers, RAM holds",
            "them; high water and stack are measured by painting memory.",
            "",
            "## Equality with the oracle",
            "",
            table(["", *head], rows),
            f"kws01, all {kws['inputs']:,} inputs on the host: {kws['differing']} bytes differ from the oracle, "
            f"the label has the highest output for {kws['right_with_ties'] / kws['inputs']:.1%} "
            f"({kws['right_by_first_maximum'] / kws['inputs']:.1%} when a tie goes to the first class).",
            "",
            "## Instructions of one inference (portable C kernels)",
            "",
            table(["", *head], cost),
            "## Memory on the Cortex-M4, bytes",
            "",
            table(["", *head], memory),
        ]
    )


if __name__ == "__main__":
    main()
