"""Proves with Frama-C Eva that whole small generated models have no undefined behaviour: what `make prove` runs.

    python benchmarks/prove.py            proves the kernels that changed since they were proved
    python benchmarks/prove.py --all      all of them
    python benchmarks/prove.py --check    says which those are, and proves nothing
    python benchmarks/prove.py NAME...    these alone, e.g. softmax

The models are the random cases of tests/ops, the random graphs of tests/stages/random_graphs.py, and those of
tests/stages/tiny_models.py. The tests run once with `Recorder` in the place of compiler and oracle. For each kernel a
few cases are taken, small and unlike each other. Inputs can hold any bytes, floats NaN and infinity among them. Eva
follows all of that at once and reports what might be undefined; no report is a proof.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, ROOT, publish, table

KERNELS = ROOT / "runtime_c" / "kernels"
TESTS = ("tests/ops", "tests/kernels", "tests/stages/test_random_graphs.py")
EACH = 4
"""Models for a kernel."""
SMALL = 1500
"""Elements and multiply-accumulates of a model, where there are such cases. What Eva takes grows with them."""
SECONDS = 120
"""CPU time for one try."""
MEMORY = 6 << 30
MACHINE = ["-machdep", "gcc_x86_32", "-warn-special-float", "none"]
"""Pointers and int of 32 bits, as on the boards; NaN and infinity are numbers like others."""
UNROLLED = ["-eva-slevel", "1000000", "-eva-slevel-merge-after-loop", "@all"]
SETTINGS: tuple[list[str], ...] = (
    UNROLLED,
    [*UNROLLED, "-eva-domains", "equality,symbolic-locations,octagon", "-eva-subdivide-non-linear", "50"],
    ["-eva-slevel", "2000", "-eva-split-return", "full"],
)
"""From quick to slow. The first goes through every loop step by step, for sizes are constants of the model, and joins
what the branches of a step did."""


@dataclass(frozen=True)
class Case:
    """A model to prove."""

    what: str
    files: dict[str, bytes]
    cost: int
    traits: frozenset[Any]

    @property
    def name(self) -> str:
        return str(json.loads(self.files["intaglio.json"])["model"])

    @property
    def kernels(self) -> set[str]:
        return {Path(name).stem for name in self.files if name.startswith("kernels/") and name.endswith(".c")}


def main() -> None:
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    path = RESULTS / "proved.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"kernels": {}, "whole": []}
    current = {p.stem: content(p) for p in sources()}
    kernels = {k: entry for k, entry in known["kernels"].items() if k in current}
    stale = [k for k, h in current.items() if "--all" in sys.argv or kernels.get(k, {}).get("sha256") != h]
    if set(names) - set(current):
        raise SystemExit(f"make prove: no such kernel: {', '.join(sorted(set(names) - set(current)))}")
    wanted = [k for k in current if k in names] if names else stale
    if "--check" in sys.argv or not wanted:
        if stale:
            raise SystemExit(f"to be proved again: {', '.join(stale)}")
        print("every kernel is as it was when it was proved")
        return
    try:
        subprocess.run(["frama-c", "-version"], check=True, capture_output=True)
    except OSError:
        raise SystemExit("make prove: frama-c is missing: sudo apt-get install frama-c-base") from None
    print("making the models (two minutes)", flush=True)
    cases, whole = recorded()
    done: dict[str, dict[str, Any]] = {}
    try:
        for kernel in wanted:
            models = [proved(case, done) for case in choose([c for c in cases if kernel in c.kernels])]
            kernels[kernel] = {"sha256": current[kernel], "proved": all_proved(models), "models": models}
            print(f"{kernel}: {verdict(kernels[kernel])}", flush=True)
        known["whole"] = [proved(case, done) for case in whole]
    finally:
        known["kernels"] = {k: kernels[k] for k in current if k in kernels}
        publish("proved", report(known), known)


def proved(case: Case, done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What became of a model, and what it is; none is tried twice."""
    key = hashlib.sha256(repr(sorted(case.files.items())).encode()).hexdigest()
    if key not in done:
        done[key] = {"model": case.what, **prove(case)}
    return done[key]


def all_proved(models: Sequence[dict[str, Any]]) -> bool:
    return bool(models) and all(m["proved"] for m in models)


def sources() -> list[Path]:
    """Every kernel: the portable ones, then those of the other folders. Instructions of a core are C here (dsp.h)."""
    return sorted(KERNELS.glob("*/*.c"), key=lambda p: (p.parent.name != "c", p))


def content(path: Path) -> str:
    """SHA-256 of a kernel with the headers that it includes."""
    found: dict[Path, bytes] = {}
    todo = [path]
    while todo:
        body = todo[-1].read_bytes()
        found[todo.pop()] = body
        names = [name.decode() for name in re.findall(rb'#include "(.+)"', body)]
        headers = [folder / name for name in names for folder in dict.fromkeys((path.parent, KERNELS / "c"))]
        todo += [h for h in headers if h.exists() and h not in found]
    return hashlib.sha256(b"".join(found[p] for p in sorted(found))).hexdigest()


# ---- models -----------------------------------------------------------------------------------------------------


class Recorder:
    """Stands in for what judges a case in tests/ops/harness.py: keeps the case and answers as the reference does."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def tflm(self, graphs: Sequence[Any], feeds: Sequence[Any]) -> list[Any]:
        import harness

        return [harness.numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]

    def run_c(self, graphs: Sequence[Any], feeds: Sequence[Any], target: Any) -> list[Any]:
        if target.system == "host":
            self.cases += [case_of(graph, target) for graph in graphs]
        return self.tflm(graphs, feeds)


def case_of(graph: Any, target: Any = None) -> Case:
    from intaglio import pipeline

    files = pipeline.compile_graph(graph, "host", target=target)
    macs = sum(layer["macs"] for layer in json.loads(files["intaglio.json"])["layers"])
    return Case(described(graph), files, macs + sum(t.size for t in graph.tensors.values()), frozenset(traits(graph)))


def recorded() -> tuple[list[Case], list[Case]]:
    """What the tests of the operators compile; whole models."""
    import pytest

    sys.path[:0] = [str(ROOT / "tests" / name) for name in ("ops", "stages")]
    import harness
    import tiny_models

    recorder = Recorder()
    harness.run_c, harness.tflm = recorder.run_c, recorder.tflm
    code = pytest.main(["-q", "-p", "no:xdist", "-p", "no:cacheprovider", *(str(ROOT / t) for t in TESTS)])
    if code != 0:
        raise SystemExit("make prove: the tests that make the models fail")
    states = [c for c in recorder.cases if ("state",) in c.traits]
    return recorder.cases, [*(case_of(make()) for make in tiny_models.ALL), *choose(states)]


def described(graph: Any) -> str:
    """The model in words: operators with their attributes, shapes and dtypes."""
    shape = lambda t: f"{t.dtype}{list(t.shape)}"  # noqa: E731
    parts = []
    for node in graph.nodes[:3]:
        ins = ", ".join(shape(t) + (f" {t.encoding}" if t.encoding else "") for t in graph.ins(node) if t is not None)
        parts.append(f"{node.op}: {ins} -> {', '.join(shape(t) for t in graph.outs(node))}")
    rest = len(graph.nodes) - len(parts)
    return "; ".join(parts) + (f"; and {rest} more operators" if rest else "")


def traits(graph: Any) -> Iterable[Any]:
    """What makes a case unlike others: each attribute and size as 0, 1 or more, dtypes, zero points at their ends."""
    size = lambda v: min(v, 2) if isinstance(v, int) else v  # noqa: E731
    if any(t.state for t in graph.tensors.values()):
        yield ("state",)
    for node in graph.nodes:
        for field in fields(node.op):
            value = getattr(node.op, field.name)
            several = value if isinstance(value, tuple) else (value,)
            yield from ((node.op.name, field.name, i, str(size(v))) for i, v in enumerate(several))
        for i, t in enumerate([*graph.ins(node), *graph.outs(node)]):
            if t is not None:
                scales = size(len(t.quant.scale)) if t.quant else 0
                yield (node.op.name, i, t.dtype, t.data is not None, scales, t.encoding)
                yield (node.op.name, i, "zero", t.quant.zero_point[0] in (-128, 127) if t.quant else None)
                yield from ((node.op.name, i, d, size(n)) for d, n in enumerate(t.shape))
                yield (node.op.name, i, len(t.shape))


def choose(cases: Sequence[Case]) -> list[Case]:
    """A few small ones: each the one with the most traits that those before it lack."""
    ordered = sorted(cases, key=lambda c: (-c.cost, c.what))
    left = [c for c in ordered if c.cost <= SMALL] or ordered[-EACH:]
    seen: set[Any] = set()
    chosen = []
    while left and len(chosen) < EACH:
        best = max(left, key=lambda c: len(c.traits - seen))
        chosen.append(best)
        seen |= best.traits
        left = [c for c in left if c.traits - seen]
    return chosen


# ---- proofs -----------------------------------------------------------------------------------------------------

MATH = "".join(
    f"/*@ assigns \\result \\from x; */\nfloat {name}(float x);\n"
    for name in ("erfcf", "expf", "expm1f", "fabsf", "logf", "sqrtf", "tanhf")
)
"""In the place of math.h: a function may return anything, and never fails."""


def prove(case: Case) -> dict[str, Any]:
    """Tries the settings in turn, until one leaves no alarm."""
    spent = 0.0
    first: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        for name, body in {**case.files, "math.h": MATH.encode()}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(body)
        tries = [(settings, True) for settings in SETTINGS]
        if b"const float *" in case.files[f"{case.name}.h"]:
            # Frama-C 25 knows of x == x that x is a number, but not of x > y.
            tries.append((UNROLLED, False))
        for settings, nan in tries:
            (folder / "prove_main.c").write_text(main_of(case, nan))
            found, seconds = attempt(folder, settings)
            spent += seconds
            first = first or {"proved": False, "nan": True, "settings": "", "alarms": found}
            if not found:
                first = {"proved": True, "nan": nan, "settings": " ".join(settings), "alarms": []}
                break
    return {**first, "seconds": round(spent, 1)}


def main_of(case: Case, nan: bool) -> str:
    """Any input, or any without NaN, then a run; a model with state is reset and runs twice. All of the outputs has to
    be written."""
    from intaglio.manifest import Manifest

    m = Manifest.model_validate_json(case.files["intaglio.json"])
    ports = [(f"in{i}", p) for i, p in enumerate(m.inputs)]
    outs = [(f"out{i}", p) for i, p in enumerate(m.outputs)]
    size = lambda p: p.nbytes // np.dtype(p.dtype).itemsize  # noqa: E731
    lines = ['#include "__fc_builtin.h"', f'#include "{m.model}.h"', "static void run(void) {"]
    lines += [f"    {p.ctype} {name}[{size(p)}];" for name, p in ports + outs]
    lines += [f"    Frama_C_make_unknown((char *){name}, sizeof {name});" for name, _ in ports]
    if not nan:
        skip = "for (int i = 0; i < {1}; i++) if ({0}[i] != {0}[i]) {0}[i] = 0;"
        lines += [skip.format(name, size(p)) for name, p in ports]
    lines += [f"    {m.model}_run({', '.join(name for name, _ in ports + outs)});"]
    lines += [f"    /*@ check \\initialized(&{name}[0 .. {size(p) - 1}]); */" for name, p in outs]
    calls = [f"{m.model}_reset();", "run();", "run();"] if m.state_bytes else ["run();"]
    return "\n".join([*lines, "}", "int main(void) {", *calls, "Frama_C_show_each_end();", "return 0;", "}", ""])


def attempt(folder: Path, settings: Sequence[str]) -> tuple[list[str], float]:
    """What Eva has against the model, and the CPU seconds that it took."""
    sources = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.c"))
    command = ["nice", "frama-c", "-eva", *MACHINE, *settings, "-cpp-extra-args=-I. -Ikernels", *sources]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    # Frama-C believes PWD.
    environment = {**os.environ, "PWD": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, preexec_fn=limited)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return objections(done.stdout), seconds


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def objections(text: str) -> list[str]:
    """Alarms of Eva's log; also where it did not come to the end, or met a function that it knows nothing of."""
    if "alarms generated by the analysis" not in text and "alarm generated by the analysis" not in text:
        refused = re.findall(r"User Error:.*", text)
        return refused or [f"no result in {SECONDS} s and {MEMORY >> 30} GB"]
    found = [" ".join(m.split()) for m in re.findall(r"\[eva:alarm\] (.+?: Warning:.*(?:\n  .*)*)", text)]
    found += re.findall(r".*Neither code nor specification.*", text)
    if "Frama_C_show_each_end" not in text:
        found.append("the end of the run is never reached")
    if not found and not (
        re.search(r"\b0 alarms generated", text) and "100% of the logical properties reached have been proven" in text
    ):
        found.append("a property is not proved")
    return list(dict.fromkeys(found))


# ---- the table --------------------------------------------------------------------------------------------------


def verdict(entry: dict[str, Any]) -> str:
    if entry["proved"]:
        return "proved" if all(m["nan"] for m in entry["models"]) else "proved, but for NaN as an input"
    if not entry["models"]:
        return "no test compiles it"
    return "; ".join(dict.fromkeys(a for m in entry["models"] for a in m["alarms"][:1]))


def report(known: dict[str, Any]) -> str:
    """The tables, as Markdown."""
    kernels = known["kernels"]
    rows = []
    for kernel, entry in kernels.items():
        models = entry["models"]
        seconds = f"{sum(m['seconds'] for m in models):.1f}"
        passed = sum(m["proved"] for m in models)
        rows.append([kernel, f"{passed} of {len(models)}", seconds, verdict(entry)])
    whole = []
    for m in known["whole"]:
        whole.append([m["model"], f"{m['seconds']:.1f}", verdict({"proved": m["proved"], "models": [m]})])
    count = sum(entry["proved"] for entry in kernels.values())
    settings = "\n".join(f"    {' '.join(s)}" for s in SETTINGS)
    command = f'frama-c -eva {" ".join(MACHINE)} SETTINGS -cpp-extra-args="-I. -Ikernels" *.c kernels/*.c'
    return f"""# Kernels proved by Frama-C Eva

Made by `make prove` (`sudo apt-get install frama-c-base`, version 25), which runs

    {command}

in the folder of each model, with a main that lets the inputs hold any bytes, runs the model (twice where it has state,
after its reset) and asks that all of the outputs is written. Of these settings the first that leaves no alarm is taken:

{settings}

Proved: no access outside an object, no read of what was not written, no signed overflow, no shift out of range, no
division by zero, no conversion of a float out of range. Alignment and strict aliasing are not looked at; functions of
math.h may return anything. Frama-C 25 does not know that a number greater than another is not NaN: where a kernel
relies on it, the proof is without NaN.

A proof is of its models. proved.json names them, with shapes, attributes and alarms, and has the SHA-256 of each kernel
with its headers as it was proved: `make prove` proves anew what has changed, and `python benchmarks/prove.py --check`
says what that is.

{count} of {len(kernels)} kernels are proved, in all of the models tried.

{table(["kernel", "models", "CPU s", "verdict"], rows)}
Whole models:

{table(["model", "CPU s", "verdict"], whole)}"""


if __name__ == "__main__":
    main()
