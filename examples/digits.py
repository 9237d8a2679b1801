"""A small CNN for scikit-learn's handwritten digits: trained in PyTorch in seconds, quantized, ready for a Cortex-M0+.

Run it to see the accuracies; examples/demo.py compiles the result for four boards.
"""

from __future__ import annotations

import sys

import needs

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import nn

    from intaglio import interpret
    from intaglio.frontends import torch as frontend
    from intaglio.graph import Graph
    from intaglio.quantize.post_training import post_training
except ImportError as error:
    sys.exit(needs.said(error))

Split = tuple[np.ndarray, np.ndarray]


class DigitsNet(nn.Module):
    """8 x 8 grey images [n, 1, 8, 8] in 0..1 -> 10 logits. About 5,500 parameters."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.depthwise = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.pointwise = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.pool = nn.MaxPool2d(2)
        self.deep = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(2 * width * 4, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = F.relu(x + self.pointwise(self.depthwise(x)))
        return self.head(self.deep(self.pool(x)))


def train(epochs: int = 15, seed: int = 1) -> tuple[DigitsNet, Split, Split]:
    """Train on two thirds of the digits, the same way every time.

    Returns: the module in evaluation mode, then (images float32 [n, 1, 8, 8] in 0..1, labels int64 [n]) to train and to
    test.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order: the same weights on every run
    torch.manual_seed(seed)
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target.astype(np.int64), test_size=1 / 3, random_state=seed, stratify=digits.target
    )
    module = DigitsNet()
    x, y = torch.tensor(x_train), torch.tensor(y_train)
    batch = 64
    steps = epochs * -(-len(x) // batch)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            F.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    torch.set_num_threads(threads)
    return module.eval(), (x_train, y_train), (x_test, y_test)


def to_int8(module: nn.Module, x_train: np.ndarray) -> Graph:
    """The module as an int8 Graph, calibrated on training images [n, 1, 8, 8]. Its input is [1][8][8][1]."""
    graph = frontend.load(module, torch.zeros(1, *x_train.shape[1:]), "digits")
    return post_training(graph, nhwc(x_train[:256]))


def nhwc(x: np.ndarray) -> np.ndarray:
    """[n, c, h, w] -> [n, h, w, c], as a Graph takes images."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def quantized(graph: Graph, x: np.ndarray) -> np.ndarray:
    """Images [n, 1, 8, 8] -> int8 [n, 8, 8, 1] as the compiled model takes them."""
    t = graph.tensors[graph.inputs[0]]
    return np.clip(np.round(nhwc(x) / t.scale) + t.zero_point, -128, 127).astype(np.int8)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows of logits [n, ...], of any dtype, whose largest is at the label."""
    return float((logits.reshape(len(labels), -1).argmax(1) == labels).mean())


def float_accuracy(module: nn.Module, split: Split) -> float:
    with torch.no_grad():
        return accuracy(module(torch.tensor(split[0])).numpy(), split[1])


def main() -> None:
    module, train_split, test_split = train()
    graph = to_int8(module, train_split[0])
    [logits] = interpret.run(graph, [quantized(graph, test_split[0])])
    parameters = sum(p.numel() for p in module.parameters())
    print(f"{parameters} parameters, {graph.macs()} multiply-accumulates, {len(logits)} test images")
    print(f"float accuracy {float_accuracy(module, test_split):.2%}")
    print(f"int8 accuracy  {accuracy(logits, test_split[1]):.2%}")


if __name__ == "__main__":
    main()
