"""Fixtures of several test files here."""

from pathlib import Path

import numpy as np
import pytest
import tiny_models

from intaglio.emit import tflite as writer


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Each test in a folder of its own, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("COLUMNS", "120")
    for make in (tiny_models.image, tiny_models.streaming, tiny_models.big, tiny_models.floats, tiny_models.two_inputs):
        Path(f"{make.__name__}.tflite").write_bytes(writer.write(make()))
    Path("unsupported.tflite").write_bytes(tiny_models.unsupported())
    rng = np.random.default_rng(1)
    np.savez("x.npz", x=rng.integers(-128, 128, (5, 6, 6, 2), np.int8))
    np.savez("floats.npz", x=rng.standard_normal((20, 6)).astype(np.float32))
