"""Mutants of every kind of file that intaglio reads: how they end, in what time and memory; and accepted ones, built
under ASan and UBSan, against NumPy. The judges are those of `make soak` (tests/mutants), on all the mutants there.
"""

from __future__ import annotations

import sys
from dataclasses import asdict

from common import ROOT, publish, table

for folder in ("ops", "stages", "mutants"):
    sys.path.insert(0, str(ROOT / "tests" / folder))


def main() -> None:
    from judge import BYTES, SECONDS, judge
    from kinds import KINDS
    from test_mutants import BATCH, BATCHES, check_c

    rows, results = [], {}
    failures: list[str] = []
    for kind in KINDS.values():
        found = judge(kind, range(kind.count))
        accepted = found.ends["accepted"]
        results[kind.name] = {**asdict(found), "ends": dict(sorted(found.ends.items()))}
        failures += found.failures
        slowest, memory = f"{found.slowest:.2f}", found.peak_bytes >> 20
        rows.append([f"`{kind.name}`", kind.count, accepted, kind.count - accepted - len(found.failures),
                     len(found.failures), slowest, memory])  # fmt: skip
        print(f"{kind.name}: {dict(found.ends)}, {found.seconds:.0f} s", *found.failures, sep="\n", flush=True)
    for batch in range(BATCHES):
        check_c(batch)
        print(f"C of {(batch + 1) * BATCH} accepted mutants is as NumPy has it", flush=True)
    text = f"""# Mutants

Made by `python benchmarks/run.py mutants`, in half an hour or so; `make bench` leaves it out. Fields of the parsed
structure are changed, and the file is written again with the right checksums; in a part of them raw bytes and offsets
are. Each is read, inspected and compiled, within {SECONDS:g} s of CPU time and {BYTES >> 20:,} MB more memory than
before. A failure is any end but acceptance and a typed error. Memory is what the worst of them took.

{table(["file", "mutants", "accepted", "refused", "failed", "slowest, s", "memory, MB"], rows)}
C of {BATCH * BATCHES} accepted mutants, no two alike, built with ASan and UBSan: every output byte is that of the NumPy
reference.
"""
    publish("mutants", text, results)
    if failures:
        raise SystemExit(f"{len(failures)} failures")


if __name__ == "__main__":
    main()
