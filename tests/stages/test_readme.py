"""The README is true: its C compiles with a generated model, its commands exist, its figures are measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_generated_c import tiny, write

import intaglio
from intaglio import arrays, interpret, package, pipeline, train
from intaglio.compress import recipe
from intaglio.compress.steps import kinds

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


def test_training_example_runs(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3)
    )
    x = np.random.default_rng(0).normal(size=(32, 8, 8, 1)).astype(np.float32)
    graph = intaglio.from_torch(net.eval(), torch.zeros(1, 1, 8, 8))
    batches = [(torch.tensor(x), torch.arange(32) % 3)] * 2
    compiled = []
    monkeypatch.setattr(intaglio, "load", lambda path: graph)
    monkeypatch.setattr(intaglio, "compile", lambda *given: compiled.append(given))
    (example,) = [b for b in blocks("python") if "quantization_aware" in b]
    names = {"torch": torch, "intaglio": intaglio, "x_train": x, "x_test": x, "batches": batches}
    exec(example, names)
    # What is compiled is the trained network: its bytes are those that the module gave.
    ((quantized, board, _),) = compiled
    assert board == "qemu-mps2-an386"
    inputs = arrays.quantize(x, package.ports(quantized)[0][0])
    assert (interpret.run(quantized, [inputs])[0][:, 0] == names["q"]).all()
    untrained = train.quantization_aware(graph, x).integers(x)[0]
    assert (untrained != names["q"]).any()


def test_recipe_is_one():
    (example,) = blocks("toml")
    assert [step.do for step in recipe.parse(example).steps] == ["prune", "quantize"]
    steps = re.search(r"^Steps: (.*?);", README, re.M | re.S)
    assert steps and sorted(re.findall("`(.*?)`", steps[1])) == sorted(kinds())
    named = re.search(r"one of the package \((.*?)\)", README, re.S)
    assert named and sorted(re.findall("`(.*?)`", named[1])) == recipe.names()


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


def test_deep_compression_reaches_what_was_asked_and_what_the_readme_says():
    results = json.loads((ROOT / "benchmarks" / "results" / "deep_compression.json").read_text())
    said = []
    for found in results.values():
        smaller, error = found["float32_bytes"] / found["bytes"], 100 * (1 - found["right"] / found["test_images"])
        assert smaller >= found["smaller_asked"] and error <= found["error_asked"]
        assert set(found["differing"]) >= {"host", "M0+", "M4"} and not any(found["differing"].values())
        said.append((f"{smaller:.0f}", f"{error:.2f}"))
    (paragraph,) = [p for p in README.split("\n\n") if p.startswith("benchmarks/deep_compression.py")]
    assert re.findall(r"(\d+) times smaller at (\d\.\d\d) %", paragraph.replace("\n", " ")) == said
