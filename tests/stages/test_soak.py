"""The long runs, `make soak`: the same judges as in `make test`, on many more cases and other seeds."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from harness import check_cases
from test_random_graphs import random_graph

pytestmark = pytest.mark.soak
CASES, BATCH = 2000, 250
OPERATORS = sorted(
    p.stem
    for p in (Path(__file__).resolve().parents[1] / "ops").glob("test_*.py")
    if "\ndef case(rng):" in p.read_text()
)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name):
    case = importlib.import_module(name).case
    for seed in range(1000, 1000 + CASES // BATCH):
        check_cases(case, BATCH, seed=seed)


@pytest.mark.parametrize("seed", range(8))
def test_whole_graphs(seed):
    check_cases(random_graph, BATCH, seed=2000 + seed, judge=False)
