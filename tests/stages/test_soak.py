"""The long runs, `make soak`: the same judges as in `make test`, on many more cases and other seeds."""

from __future__ import annotations

import cases as operators
import pytest
from harness import check_cases
from random_graphs import random_graph

pytestmark = pytest.mark.soak
CASES, BATCH = 2000, 250


@pytest.mark.parametrize("found", [c for c in operators.every() if "int8" in c.dtypes], ids=lambda c: c.name)
def test_operators(found):
    for seed in range(1000, 1000 + CASES // BATCH):
        check_cases(found.make, BATCH, seed=seed, judge=found.oracle)


@pytest.mark.parametrize("seed", range(8))
def test_whole_graphs(seed):
    check_cases(random_graph, BATCH, seed=2000 + seed, judge=False)
