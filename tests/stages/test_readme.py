"""README.md is true: its commands do what it says, its C compiles with a generated model, its figures are measured."""

from __future__ import annotations

import json
import re
import subprocess

import models
import numpy as np
import pages
import pytest

import intaglio
from intaglio.extras import CPU_INDEX, TORCH

README = pages.README.read_text()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    for needed in ("onnx", "sklearn", "torch"):
        pytest.importorskip(needed)
    root = tmp_path_factory.getbasetemp()
    return pages.after_readme((root.parent if root.name.startswith("popen") else root) / "readme")


def test_it_is_one_page():
    assert len(README.splitlines()) <= 100


def test_every_command_does_what_it_says(done):
    verbs = {line.split()[1] for line in done.said if line.startswith("intaglio")}
    assert verbs == {"inspect", "compile", "run", "profile", "evaluate"}
    assert "byte for byte" in done.of("profile")
    assert re.search(r"on host +9\d\.\d\d%", done.of("evaluate"))
    with np.load(done.folder / "digits" / "y.npz") as y, np.load(done.folder / "digits" / "test.npz") as test:
        (found,) = y.values()
        assert (found.reshape(len(test["y"]), -1).argmax(1) == test["y"]).mean() > 0.95
    objects = done.folder / "digits" / "objects"
    assert (objects / "digits.o").exists() and (objects / "max_pool2d.o").exists()


def test_a_folder_with_objects_beside_it_is_written_again(done):
    """As README has them built."""
    assert "digits/objects" in next(line for line in done.said if line.startswith("mkdir"))
    intaglio.compile(done.folder / "digits/c", "qemu-mps2-an386", done.folder / "digits/c")


def test_its_c_compiles_with_the_model(done, tmp_path):
    include = f"-I{done.folder / 'digits' / 'c'}"
    command = ["cc", "-c", "-Wall", "-Werror", include, str(done.folder / "use.c")]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_set_up_installs_the_pytorch_that_doctor_names():
    setup = (pages.ROOT / "scripts" / "setup.sh").read_text()
    assert f"torch={TORCH}\n" in setup and f"cpu_index={CPU_INDEX}\n" in setup


def test_figures_are_those_of_the_last_benchmark():
    results = json.loads((pages.ROOT / "benchmarks" / "results" / "models.json").read_text())
    rows = dict(re.findall(r"^\| (AD|KWS|IC|VWW|SWW) \| (.*) \|$", README, re.M))
    assert rows.keys() == {name.upper() for name in results}
    for name, found in results.items():
        assert rows[name.upper()] == models.readme_row(found)
    assert f"{results['kws']['boards']['M4']['instructions']:,} | " in rows["KWS"]
