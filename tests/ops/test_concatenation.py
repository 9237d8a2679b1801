"""CONCATENATION against the oracle."""

from dataclasses import replace

import numpy as np
from cases.concatenation import case
from floats import check_forward
from harness import act, check_cases, graph_of

from intaglio.ops.concatenation import Concatenation


def test_matches_oracle():
    check_cases(case, 250)


def test_outermost_parts_are_plain_copies():
    rng = np.random.default_rng(1)
    xs = [act(rng, f"x{k}", (1, 3, 4, 2), "int8", 0.1, 3) for k in range(2)]
    op = Concatenation(1)
    graph = graph_of(op, xs, [act(rng, "y", (1, 6, 4, 2), "int8", 0.1, 3)])
    first, second = op.lower(graph.nodes[0], graph)
    assert first.kernel == "copy"
    assert dict(second.args[2].fields)["run"] == 24 and dict(second.args[2].fields)["size"] == (1,)


def test_refuses_unlike_quantization():
    rng = np.random.default_rng(1)
    xs = [act(rng, "x0", (1, 2), "int8", 0.1, 3), act(rng, "x1", (1, 2), "int8", 0.2, 3)]
    assert "quantized unlike x1" in Concatenation(1).check(xs, [act(rng, "y", (1, 4), "int8", 0.1, 3)])[0]
    # A last-bit difference of scales, as converters leave it, is no obstacle.
    near = [xs[0], replace(xs[0], name="x1", quant=replace(xs[0].quant, scale=(0.10000002,)))]
    assert Concatenation(1).check(near, [act(rng, "y", (1, 4), "int8", 0.1, 3)]) == []


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        graph = case(rng)
        if graph.tensors["x0"].dtype == "int8":
            batched = graph.nodes[0].op.axis > 0 and all(not t.is_const for t in graph.tensors.values())
            check_forward(graph, rng, 0.01, batched)
