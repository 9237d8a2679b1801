"""What holds for all tests of a run."""

import os
import shutil
import tempfile

import pytest

from intaglio.firmware import objects


def pytest_addoption(parser):
    parser.addoption(
        "--cases", type=int, default=None, help="at most so many random cases where harness.check_cases makes them"
    )


def pytest_configure(config):
    if config.getoption("--cases") is not None:
        os.environ["ITG_CASES"] = str(config.getoption("--cases"))
    if not hasattr(config, "workerinput") and objects.ELSEWHERE not in os.environ:
        # One folder for all workers of the run, which inherit the environment: what one compiles the others have.
        config.objects = tempfile.mkdtemp(prefix="itg-objects-")
        os.environ[objects.ELSEWHERE] = config.objects


def pytest_unconfigure(config):
    if hasattr(config, "objects"):
        del os.environ[objects.ELSEWHERE]
        shutil.rmtree(config.objects, ignore_errors=True)


@pytest.fixture
def no_objects(monkeypatch, tmp_path):
    """Nothing was compiled before; returns the folder of objects."""
    monkeypatch.setenv(objects.ELSEWHERE, str(tmp_path / "objects"))
    return tmp_path / "objects"
