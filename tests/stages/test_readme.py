"""The README is true: its C compiles with a generated model, its commands exist, its figures are measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import pytest

import intaglio
from intaglio import arrays, interpret, train
from intaglio.extras import CPU_INDEX, INSTALL, TORCH
from intaglio.manifest import Manifest
from intaglio.models import ports
from intaglio.recipes import recipe
from intaglio.recipes.steps import kinds

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return [text for named, text in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S) if named == language]


def commands() -> list[str]:
    """Every line of the README for a shell, without its comment; those of set-up (make, pip, the venv) are apart."""
    lines = [line for block in blocks("") for line in block.splitlines() if re.match(r"(intaglio|python|mkdir) ", line)]
    return [re.sub(r"\s{2,}#.*", "", line) for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A fresh folder after all of the README's commands, in order, at 80 columns, and what each of them printed."""
    place = tmp_path_factory.mktemp("readme")
    for needed in ("onnx", "sklearn", "torch"):
        pytest.importorskip(needed)
    (place / "examples").symlink_to(ROOT / "examples")
    (place / "net.py").write_text(
        "from torch import nn\n\nclass Net(nn.Sequential):\n    def __init__(self):\n"
        "        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 2))\n"
    )
    state = "import net, torch; torch.save(net.Net().state_dict(), 'net.pt')"
    subprocess.run([sys.executable, "-c", state], cwd=place, check=True)
    environment = {
        **os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT / "toolchain"), "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    said = {}
    for line in commands():
        # The program, and not what an installed script would find elsewhere.
        run = re.sub(r"^intaglio ", "python -m intaglio ", line)
        done = subprocess.run(run, shell=True, cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said[line] = done.stdout
    return place, said


def the(said: dict[str, str], word: str) -> str:
    """What the one command with this word in it printed."""
    (found,) = [text for line, text in said.items() if word in line]
    return found


def test_every_command_does_what_it_says(folder):
    place, said = folder
    assert {line.split()[1] for line in said if line.startswith("intaglio")} >= {
        "doctor", "inspect", "compile", "run", "profile", "evaluate", "quantize", "compress",
    }  # fmt: skip
    assert "byte for byte" in the(said, "profile")
    assert re.search(r"on host +9\d\.\d\d%", the(said, "evaluate"))
    with np.load(place / "digits" / "y.npz") as y, np.load(place / "digits" / "test.npz") as test:
        (found,) = y.values()
        assert (found.reshape(len(test["y"]), -1).argmax(1) == test["y"]).mean() > 0.95
    assert (place / "digits/objects/digits.o").exists() and (place / "digits/objects/max_pool2d.o").exists()
    # What is selected by a pattern differs from what is not.
    whole, mixed, packed = (Manifest.read(place / "digits" / name) for name in ("c", "mixed", "packed"))
    assert [layer.op for layer in mixed.layers].count("dequantize") > [x.op for x in whole.layers].count("dequantize")
    assert packed.weight_bytes < 0.85 * whole.weight_bytes
    # Another format of the same network, the same integers.
    assert Manifest.read(place / "digits/from-onnx").weight_bytes == whole.weight_bytes
    assert Manifest.read(place / "digits/from-pt2").weight_bytes == whole.weight_bytes


def test_a_folder_with_objects_in_it_is_written_again(folder):
    """They lie beside it, as README has them built."""
    place, said = folder
    assert "digits/objects" in next(line for line in said if line.startswith("mkdir"))
    intaglio.compile(place / "digits/int8.tflite", "host", place / "digits/c", build=False)


def test_the_recipe_is_near_what_the_readme_prints(folder):
    _, said = folder
    found, printed = (
        [re.findall(r"[\d.,]+(?=[ %\n]|$)", line) for line in text.splitlines() if re.match(r"\d  \w", line)]
        for text in (the(said, "compress"), next(b for b in blocks("") if "weights in flash" in b))
    )
    assert len(found) == len(printed) == 5
    for ours, theirs in zip(found, printed, strict=True):
        # Of another processor: accuracy, flash, weights in flash.
        assert abs(float(ours[1]) - float(theirs[1])) <= 2.5
        for mine, other in zip(ours[2:4], theirs[2:4], strict=True):
            assert float(mine.replace(",", "")) == pytest.approx(float(other.replace(",", "")), rel=0.05)


def test_c_example_compiles_with_the_model(folder, tmp_path):
    place, _ = folder
    (example,) = blocks("c")
    (tmp_path / "use.c").write_text(example)
    include = f"-I{place / 'digits' / 'mixed'}"
    done = subprocess.run(["cc", "-c", include, "use.c"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_packages_are_installed_by_one_and_the_same_line():
    lines = [re.sub(r"\s{2,}#.*", "", line) for block in blocks("") for line in block.splitlines() if "pip" in line]
    assert lines == [INSTALL["torch"], INSTALL["onnx"]]
    setup = (ROOT / "scripts" / "setup.sh").read_text()
    assert f"torch={TORCH}\n" in setup and f"cpu_index={CPU_INDEX}\n" in setup


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
    inputs = arrays.quantize(x, ports(quantized)[0][0])
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


def test_figures_are_those_of_the_last_benchmark():
    results = json.loads((ROOT / "benchmarks" / "results" / "models.json").read_text())
    rows = dict(re.findall(r"^\| (AD|KWS|IC|VWW|SWW) \| (.*) \|$", README, re.M))
    assert rows.keys() == {name.upper() for name in results}
    for name, found in results.items():
        assert rows[name.upper()] == models.readme_row(found)
    assert f"{results['kws']['boards']['M4']['instructions']:,} | " in rows["KWS"]


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
