"""The command line as tests call it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import intaglio
from intaglio.cli import app

M4 = "qemu-mps2-an386"
HAVE_GCC = shutil.which("gcc") is not None
HAVE_M4 = shutil.which("arm-none-eabi-gcc") is not None and shutil.which("qemu-system-arm") is not None
HAVE_TORCH = True
try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    HAVE_TORCH = False
need_gcc = pytest.mark.skipif(not HAVE_GCC, reason="gcc is not installed")
need_m4 = pytest.mark.skipif(not HAVE_M4, reason="arm-none-eabi-gcc or qemu-system-arm is not installed")
need_torch = pytest.mark.skipif(not HAVE_TORCH, reason="PyTorch is not installed")


def call(*args: str) -> tuple[int, str, str]:
    """Exit status, stdout, stderr of a verb within this process."""
    result = CliRunner().invoke(app, list(args))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def ok(*args: str) -> str:
    code, out, err = call(*args)
    assert code == 0 and not err, f"{args}: {code}\n{out}\n{err}"
    return out


def fails(*args: str) -> str:
    """The paragraph; nothing may have been written, not even by a folder that is made and removed again."""
    before = sorted(Path().rglob("*"))
    code, out, err = call(*args)
    assert code == 1, f"{args}: {code}\n{out}\n{err}"
    assert err.startswith("error: ") and err.count("error: ") == 1 and "Traceback" not in err and "\n\n" not in err
    assert [p for p in sorted(Path().rglob("*")) if ".cache" not in p.parts] == [
        p for p in before if ".cache" not in p.parts
    ]
    return err


def program(*args: str, env: dict[str, str] | None = None, **more) -> subprocess.CompletedProcess[str]:
    """A verb as a process of its own."""
    source = str(Path(intaglio.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, **(env or {})}
    command = [sys.executable, "-m", "intaglio", *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, **more)
