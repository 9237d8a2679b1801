"""PAD and PADV2 against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.pad import case
from files import read_back
from floats import check_forward
from harness import act, check_cases, const, graph_of
from reading import refusal

from intaglio.ops.base import TfliteOp
from intaglio.ops.pad import Pad


def test_matches_oracle():
    check_cases(case, 250)


@pytest.mark.parametrize("q", [-128, -3, 0, 127])
def test_value_survives_the_file(q):
    x = act(np.random.default_rng(1), "x", (2, 3), "int8", 0.0123, 45)
    op = Pad(((1, 0), (0, 2)), x.scale * (q - x.zero_point))
    again = read_back(graph_of(op, [x], [replace(x, name="y", shape=(3, 5))])).op
    assert again.pads == op.pads and again.fill(x) == q


@pytest.mark.parametrize(
    ("pads", "reason"), [([[1, -1]], "padding"), ([[1, 1 << 30]], "padding"), ([[1, 1], [0, 0]], "4 paddings")]
)
def test_refuses_nonsense(pads, reason):
    x = act(np.random.default_rng(1), "x", (3,), "int8", 0.1, 3)
    written = TfliteOp("PAD", ("x", np.array(pads, np.int32)), "PadOptions")
    assert reason in refusal([x], [replace(x, name="y", shape=(5,))], written)


def test_refuses_a_value_of_many_elements():
    x = act(np.random.default_rng(1), "x", (3,), "int8", 0.1, 3)
    value = const("v", np.zeros(2, np.int8), x.quant)
    written = TfliteOp("PADV2", ("x", np.array([[1, 1]], np.int32), value), "PadV2Options")
    assert "one int8 is needed" in refusal([x], [replace(x, name="y", shape=(5,))], written)


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        graph = case(rng)
        op, x = graph.nodes[0].op, graph.tensors["x"]
        # A batch is not padded, and infinities stay what they are.
        if x.dtype == "int8" and np.isfinite(op.value):
            check_forward(graph, rng, 0.01, batched=op.pads[0] == (0, 0))
