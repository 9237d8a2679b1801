"""The wheel, installed outside the checkout without PyTorch, compiles and runs a model on QEMU."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from intaglio import interpret
from intaglio.emit import tflite as writer

ROOT = Path(__file__).resolve().parents[2]
M4 = "qemu-mps2-an386"


def closure(names: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """The distributions of this environment that the given ones need, extras left out."""
    found: dict[str, importlib.metadata.Distribution] = {}
    queue = list(names)
    while queue:
        name = re.sub(r"[-_.]+", "-", queue.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a dependency that this platform or Python does not need
        requirements = [r for r in found[name].requires or [] if "extra" not in r]
        queue += [re.split(r"[^A-Za-z0-9._-]", r, maxsplit=1)[0] for r in requirements]
    return found


def dependencies() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text()
    (line,) = re.findall(r"^dependencies = \[(.*)\]$", text, re.M)
    return [re.split(r"[^A-Za-z0-9._-]", item)[0] for item in re.findall(r'"([^"]+)"', line)]


def link(distribution: importlib.metadata.Distribution, site: Path) -> None:
    """Make one installed package visible in another environment: links to its top-level files and folders."""
    for name in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
        source = Path(str(distribution.locate_file(name)))
        if source.exists() and not (site / name).exists():
            (site / name).symlink_to(source)


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of an environment that holds the wheel and what it requires, and nothing more."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("intaglio-*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    query = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip())
    shutil.unpack_archive(wheel, site, "zip")
    for distribution in closure(dependencies()).values():
        link(distribution, site)
    return python


def run(python: Path, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """A Python command in a folder outside the checkout, with nothing of this environment about."""
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    env = {**keep, "XDG_CACHE_HOME": str(folder / ".cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([python, *args], cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_it_stands_alone(python, tmp_path):
    where = run(python, tmp_path, "-c", "import intaglio; print(intaglio.__file__, intaglio.version())")
    assert where.returncode == 0, where.stderr
    assert str(ROOT) not in where.stdout and re.search(r" [0-9]+[.]", where.stdout)
    for absent in ("torch", "onnx", "sklearn", "tflite_micro"):
        assert "ModuleNotFoundError" in run(python, tmp_path, "-c", f"import {absent}").stderr
    entry = "from importlib.metadata import entry_points as e; print(e(group='console_scripts')['intaglio'].load())"
    assert "main" in run(python, tmp_path, "-c", entry).stdout
    assert "qemu-rpi5" in run(python, tmp_path, "-m", "intaglio", "boards").stdout


@pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")), reason="no cross compiler or QEMU"
)
def test_it_compiles_and_runs(python, tmp_path):
    graph = tiny_models.image()
    (tmp_path / "m.tflite").write_bytes(writer.write(graph))
    x = np.random.default_rng(2).integers(-128, 128, (9, 6, 6, 2), np.int8)
    np.savez(tmp_path / "x.npz", x=x)
    for verb in (
        ("compile", "m.tflite", "--board", M4, "-o", "out"),
        ("run", "out", "--inputs", "x.npz", "--outputs", "y.npz"),
        ("profile", "out", "--json", "report.json"),
        ("compress", "m.tflite", "--recipe", "lossless", "-o", "reduced"),
    ):
        done = run(python, tmp_path, "-m", "intaglio", *verb)
        assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "y.npz")["y"], interpret.run(graph, [x])[0][:, 0])
    # What PyTorch is needed for says so.
    (tmp_path / "f.tflite").write_bytes(writer.write(tiny_models.floats()))
    np.savez(tmp_path / "c.npz", x=np.ones((4, 6), np.float32))
    verb = ("compile", "f.tflite", "--calibrate", "c.npz", "--board", M4, "-o", "f")
    done = run(python, tmp_path, "-m", "intaglio", *verb)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "pip install" in done.stderr
