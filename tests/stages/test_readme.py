"""The README is true: its C compiles with a generated model, its commands exist, its figures are measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from test_generated_c import tiny, write

from intaglio import pipeline

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def test_c_example_compiles_with_the_one_line(tmp_path):
    write(pipeline.compile_graph(tiny(), "host"), tmp_path)
    (example,) = blocks("c")
    (tmp_path / "use.c").write_text(example)
    (line,) = [b.strip() for b in blocks("") if b.startswith("cc ")]
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.o").exists() and (tmp_path / "max_pool2d.o").exists()


def test_commands_exist():
    used = set(re.findall(r"^intaglio (\w+)", "\n".join(blocks("")), re.M))
    assert {"inspect", "compile", "run", "profile", "doctor"} <= used
    for verb in sorted(used):
        done = subprocess.run([sys.executable, "-m", "intaglio", verb, "--help"], capture_output=True, text=True)
        assert done.returncode == 0, f"{verb}: {done.stderr}"


def test_figures_are_those_of_the_last_benchmark():
    results = json.loads((ROOT / "benchmarks" / "results" / "models.json").read_text())
    rows = dict(re.findall(r"^\| (AD|KWS|IC|VWW|SWW) \| (.*) \|$", README, re.M))
    assert rows.keys() == {name.upper() for name in results}
    for name, found in results.items():
        m4 = found["boards"]["M4"]
        expected = [found["macs"], *(m4[k] for k in ("instructions", "flash_bytes", "flash_code_bytes", "ram_bytes"))]
        expected += [m4[k] for k in ("arena_bytes", "stack_bytes")]
        assert rows[name.upper()] == " | ".join(f"{v:,}" for v in expected)
