"""The export of every operator, run in TFLM and in LiteRT: equal to the reference, or refused with the runtime's name.

The cases are those of the operators' own tests (tests/ops); tests/ops/test_exports.py asks the same of fewer.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from importlib import metadata
from typing import Any

from common import ROOT, publish

sys.path.insert(0, str(ROOT / "tests" / "ops"))

from exports import AS_IT_IS, CLOSE, OTHERWISE, REFUSED, Row, cases, judged

from intaglio.ops.portable import NAMES, RUNTIMES, Runtime

EACH = 20
"""Cases of an operator in a dtype."""
ASKED: tuple[tuple[Runtime, ...], ...] = (RUNTIMES, *((r,) for r in RUNTIMES))


def main() -> None:
    results = {"+".join(only): judged(cases(EACH, seed=11), only) for only in ASKED}
    found = {"versions": {p: metadata.version(p) for p in ("tflite-micro", "ai-edge-litert")}, "cases": EACH,
             "rows": {asked: [asdict(row) for row in rows] for asked, rows in results.items()}}  # fmt: skip
    publish("export", text(results, found["versions"]), found)
    wrong = [row for rows in results.values() for row in rows if row.wrong]
    if wrong:
        raise SystemExit("\n".join(f"{row.operator} {row.dtype}: {row.wrong}" for row in wrong))


def text(results: dict[str, list[Row]], versions: dict[str, str]) -> str:
    """benchmarks/results/export.md."""
    both, *single = results.values()
    tflm, litert = versions["tflite-micro"], versions["ai-edge-litert"]
    lines = [
        "# Exports in TFLM and LiteRT", "",
        f"Made by `make bench` (benchmarks/export.py): {EACH} random cases of every operator in every dtype that it",
        f"has, with five inputs each, exported and run in TFLM (tflite-micro {tflm}) and in",
        f"LiteRT's reference kernels (ai-edge-litert {litert}; ELU, which they lack, in its optimized ones). Integers",
        f"are compared with the NumPy reference byte for byte, floats to {CLOSE:g} of the largest number. Cases have",
        "scales like 0.07, with which many results lie half way between two integers: rounding otherwise shows.", "",
        "`both`, `--for tflm`, `--for litert`: cases written as they are / otherwise / refused. Differ: cases in which",
        "a runtime gave anything else, or refused the file. Deep: five and six dimensions, or many axes.", "",
        "| operator | dtype | both | --for tflm | --for litert | numbers compared | differ |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for rows in zip(both, *single, strict=True):
        row = rows[0]
        differ = sum(len(cases) for r in rows for cases in r.wrong.values())
        ways = " | ".join(_ways(r) for r in rows)
        lines.append(f"| {row.operator} | {row.dtype} | {ways} | {sum(r.compared for r in rows):,} | {differ} |")
    lines += ["", "What is said of those written otherwise or refused, for both:", ""]
    for row in both:
        for said, count in sorted(row.said.items()):
            kind = "refused" if set(row.how) == {REFUSED} else "otherwise" if REFUSED not in row.how else "said"
            lines.append(f"- {row.operator}, {row.dtype}, {kind} ({count} of {row.cases}): {said}")
    every = [row for rows in results.values() for row in rows]
    wrong = {NAMES[r]: sum(len(row.wrong.get(NAMES[r], ())) for row in every) for r in RUNTIMES}
    lines += ["", f"Cases that differ: {', '.join(f'{n} in {name}' for name, n in wrong.items())}."]
    return "\n".join(lines) + "\n"


def _ways(row: Row) -> Any:
    return " / ".join(str(row.how.get(how, 0)) for how in (AS_IT_IS, OTHERWISE, REFUSED))


if __name__ == "__main__":
    main()
