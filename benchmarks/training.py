"""The float networks of the training benchmarks, trained from scratch; checkpoints lie in build/training."""

from __future__ import annotations

import sys
from typing import Any

import networks
import torch
from common import ROOT

from intaglio.train.loop import Settings, evaluate, fit

CHECKPOINTS = ROOT / "build" / "training"
THREADS = 2
"""Sums depend on how many threads make them: the figures are repeatable with as many, and checkpoints are named so."""
SEED = 1
LENET = Settings(epochs=15, batch=128, learning_rate=1e-3, optimizer="adam", seed=SEED)
LENET300 = Settings(epochs=15, batch=128, learning_rate=1e-3, optimizer="adam", seed=SEED)
RESNET = Settings(
    epochs=30, batch=128, learning_rate=0.1, optimizer="sgd", momentum=0.9, weight_decay=5e-4, warmup=0.1, seed=SEED
)
MOBILENET = Settings(
    epochs=30, batch=128, learning_rate=0.1, optimizer="sgd", momentum=0.9, weight_decay=2e-4, warmup=0.1, seed=SEED
)


def lenet300() -> Any:
    """LeNet-300-100 on MNIST, in eval mode."""
    return _trained("lenet300", networks.LeNet300, networks.mnist, LENET300, networks.written_otherwise, threads=1)


def lenet5() -> Any:
    """LeNet-5 on MNIST, in eval mode."""
    return _trained("lenet5", networks.LeNet5, networks.mnist, LENET)


def resnet8(threads: int = THREADS) -> Any:
    """ResNet-8 on cifar10_jpeg, in eval mode."""
    return _trained("resnet8", networks.ResNet8, networks.cifar, RESNET, networks.flipped_and_shifted, threads)


def mobilenet() -> Any:
    """MobileNet on cifar10_jpeg, in eval mode."""
    return _trained("mobilenet", networks.MobileNet, networks.cifar, MOBILENET, networks.flipped_and_shifted, threads=1)


def _trained(name: str, make: Any, data: Any, settings: Settings, augment: Any = None, threads: int = THREADS) -> Any:
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    module = make()
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    fit(
        module, data("train"), settings, augment=augment, checkpoint=CHECKPOINTS / f"{name}-{threads}.pt",
        after_epoch=lambda e: print(f"{name}: {e}", flush=True),
    )  # fmt: skip
    return module


NETWORKS = {
    "lenet300": (lenet300, networks.mnist), "lenet5": (lenet5, networks.mnist), "resnet8": (resnet8, networks.cifar),
    "mobilenet": (mobilenet, networks.cifar),
}  # fmt: skip

if __name__ == "__main__":
    for name in sys.argv[1:] or NETWORKS:
        make, data = NETWORKS[name]
        print(name, evaluate(make(), data("test")))
