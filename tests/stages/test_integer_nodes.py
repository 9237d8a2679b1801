"""Nodes of the module that trains in integers, where an operator's float form would not do."""

import numpy as np
import pytest
import torch
from harness import act, graph_of

from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.train import integer


@pytest.mark.parametrize("kernel", [(3, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("pads", [(0, 0, 1, 0), (0, 0, 2, 2), (0, 1, 0, 0), (2, 2, 0, 0), (1, 1, 1, 1)])
def test_a_pool_with_windows_of_nothing_but_padding(kernel, pads):
    rng = np.random.default_rng(0)
    x = act(rng, "x", (1, 4, 4, 2), scale=0.1, zero_point=5)
    op = MaxPool2D(kernel, (1, 1), pads)
    y = act(rng, "y", op.infer([x], [])[0][0], scale=0.1, zero_point=5)
    q = rng.integers(-128, 128, x.shape).astype(np.int8)
    given = torch.tensor(q.astype(np.float32) - x.zero_point)
    found = integer.run_node(graph_of(op, [x], [y]).nodes[0], [x], [y], [given], None, True)[0]
    assert (found.numpy() + y.zero_point == op.reference([q], [x], [y])[0]).all()
