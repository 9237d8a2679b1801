"""Damaged and hostile files: thousands of mutants of each kind may only end in a typed error, quickly and in little
memory; and what is accepted computes in C what it computes in NumPy.

`make test` takes a tenth of them, `make soak` all. `python benchmarks/mutants.py` notes what the last run of all found.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import compare, host_c, inputs_for, numpy_reference
from judge import judge
from kinds import KINDS, TENTH

from intaglio.graph import Graph, computes_in_float

PART = 500
"""Mutants of a test: parts can run at the same time."""
EXECUTED = ("tflite", "itg", "onnx")
"""Kinds of which accepted mutants are built and run."""
BATCH, BATCHES = 25, 20
LARGEST = 1 << 18
"""Bytes and multiplications of a model that is run: the NumPy reference is not quick."""


def parts(count: int) -> list[range]:
    return [range(at, min(at + PART, count)) for at in range(0, count, PART)]


def cases(tenth: bool) -> list[object]:
    every = [(k.name, part) for k in KINDS.values() for part in parts(k.count // TENTH if tenth else k.count)]
    return [pytest.param(name, part, id=f"{name}-{part.start}") for name, part in every]


def check(name: str, part: range) -> None:
    found = judge(KINDS[name], part)
    assert not found.failures, "\n".join(found.failures[:20])
    assert found.ends["accepted"] > len(part) // 50, found.ends
    assert sum(found.ends.values()) - found.ends["accepted"] > len(part) // 10, found.ends


@pytest.mark.parametrize(("name", "part"), cases(tenth=True))
def test_mutants(name, part):
    check(name, part)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "part"), cases(tenth=False))
def test_all_mutants(name, part):
    check(name, part)


# ---- what is accepted computes the same in C ----------------------------------------------------------------------


def accepted(batch: int) -> list[Graph]:
    """Graphs of accepted mutants, in integers and small enough to run, no two with the same C."""
    graphs: dict[bytes, Graph] = {}
    for number in range(batch * 10 * BATCH, (batch + 1) * 10 * BATCH):
        for name in EXECUTED:
            if len(graphs) == BATCH:
                return list(graphs.values())
            judge(KINDS[name], range(number, number + 1), lambda _, taken: keep(*taken, graphs))
    raise AssertionError(f"only {len(graphs)} mutants were accepted")


def keep(graph: Graph, files: dict[str, bytes], graphs: dict[bytes, Graph]) -> None:
    size = sum(t.nbytes for t in graph.tensors.values())
    if size <= LARGEST and graph.macs() <= LARGEST and not computes_in_float(graph):
        graphs.setdefault(b"".join(body for name, body in files.items() if name == f"{graph.name}.c"), graph)


def check_c(batch: int) -> None:
    import numpy as np

    graphs = [replace(g, name=f"case_{i}") for i, g in enumerate(accepted(batch))]
    feeds = [inputs_for(g, np.random.default_rng([batch, i])) for i, g in enumerate(graphs)]
    expected = [numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    compare("host C", graphs, feeds, expected, host_c(graphs, feeds), batch)


def test_accepted_mutants_compute_in_c_what_they_do_in_numpy():
    check_c(0)


@pytest.mark.soak
@pytest.mark.parametrize("batch", range(BATCHES))
def test_all_accepted_mutants_compute_in_c_what_they_do_in_numpy(batch):
    check_c(batch)
