"""The 8x8 digits of scikit-learn and a small network for them: what the compression techniques are tested on."""

from functools import cache

import numpy as np
import pytest
import torch
from floats import same_graph
from sklearn.datasets import load_digits
from torch import nn

from intaglio.compress.layers import weights_of
from intaglio.errors import DataError
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.graph import Graph
from intaglio.train import to_graph, to_module
from intaglio.train.loop import Settings, evaluate, fit

CONV, DEPTHWISE, HIDDEN, LOGITS = "conv2d", "conv2d_1", "linear", "linear_1"
QUICK = Settings(4, 64, 0.003)


@cache
def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(x [n, 8, 8, 1] float32 in 0..1, y) to train with, and to test."""
    found = load_digits()
    x = (found.images[..., None] / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], found.target[order]
    return (x[:1300], y[:1300]), (x[1300:], y[1300:])


def network(width: int = 8) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3, groups=width), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * width, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


@cache
def trained(width: int = 8) -> Graph:
    """A float graph, simplified, with 93 to 97 % of the test digits right; a second to train."""
    torch.manual_seed(1)
    module = to_module(simplify(frontend.load(network(width), torch.zeros(1, 1, 8, 8), "digits")))
    fit(module, digits()[0], Settings(15, 64, 0.005), progress=False)
    return to_graph(module)


def refused_whole(call, said: str) -> None:
    """`call` of the network as a module is refused with an error that says so, and leaves it as it was."""
    module = to_module(trained())
    with pytest.raises(DataError, match=said):
        call(module)
    assert same_graph(to_graph(module), trained()) and not any(w.steps() for w in weights_of(module))


def accuracy(module: nn.Module) -> float:
    return evaluate(module, digits()[1])[1] or 0.0


@cache
def _float_accuracy() -> float:
    return accuracy(to_module(trained()))


def lost(module: nn.Module) -> float:
    """How far its part of right test digits is below that of `trained()`: what that one gets right itself differs with
    the float kernels of a processor, by points."""
    return _float_accuracy() - accuracy(module)
