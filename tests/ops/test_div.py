"""DIV: in floats only; what its kernel computes is in test_float32.py."""

import numpy as np
from elementwise_cases import binary_case
from files import read_back
from harness import act, graph_of

from intaglio.graph import Tensor
from intaglio.ops.div import Div


def test_int8_is_refused_by_name():
    a = act(np.random.default_rng(1), "a", (3,))
    assert "divides int8 by int8" in Div().check([a, a], [a])[0]


def test_file_keeps_the_activation():
    t = Tensor("a", (2, 3), "float32")
    graph = graph_of(Div("relu6"), [t, Tensor("b", (3,), "float32")], [Tensor("y", (2, 3), "float32")])
    assert read_back(graph).op == Div("relu6")


def test_float_meaning_is_the_reference():
    import torch

    graph = binary_case(np.random.default_rng(2), Div("relu"), lambda a, b: 1.0)
    ins = [Tensor(n, graph.tensors[n].shape, "float32") for n in ("a", "b")]
    xs = [np.random.default_rng(3).normal(1, 2, t.shape).astype(np.float32) for t in ins]
    tensors = [torch.tensor(x, requires_grad=True) for x in xs]
    found = Div("relu").forward(*tensors)
    found.sum().backward()
    assert all(t.grad is not None for t in tensors)
    [want] = Div("relu").reference(xs, ins, [Tensor("y", tuple(found.shape), "float32")])
    assert np.allclose(found.detach().numpy(), want, rtol=1e-6)
