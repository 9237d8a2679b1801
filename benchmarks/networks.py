"""The networks that the benchmarks train from scratch, in PyTorch, and the data they are trained on."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from common import SHARED
from torch import nn

Images = tuple[Any, Any]
"""(float32 [n, channels, h, w], int64 [n])."""
MEAN, DEVIATION = 0.1307, 0.3081
"""Of the grey levels of MNIST's training images, black being 0 and white 1."""


class LeNet5(nn.Sequential):
    """LeNet-5 as Caffe has it: 20 and 50 filters of 5x5, 500 hidden units, 431,080 parameters (LeCun et al., 1998)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
        )  # fmt: skip


class LeNet300(nn.Sequential):
    """LeNet-300-100: two hidden layers, 266,610 parameters (LeCun et al., 1998)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
        )


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, 1x1 where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet8(nn.Module):
    """The image classifier of MLPerf Tiny (Banbury et al., 2021): 12.5 M MACs, 78 k parameters, 3x32x32 -> 10."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class MobileNet(nn.Module):
    """Depthwise separable convolutions as in MobileNet (Howard et al., 2017): 2.4 M MACs, 79 k parameters."""

    PLAN = ((48, 1), (96, 2), (96, 1), (192, 2), (192, 1))
    """Channels and stride of each depthwise and pointwise pair."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU()]
        inputs = 24
        for outputs, stride in self.PLAN:
            layers += [
                nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(),
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            ]  # fmt: skip
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, 10)
        self.to(memory_format=torch.channels_last)  # PyTorch's depthwise convolutions are faster so on a CPU

    def forward(self, x: Any) -> Any:
        return self.head(self.layers(x).mean((2, 3)))


def mnist(part: str) -> Images:
    """`part` is "train" (60,000) or "test" (10,000): [n, 1, 28, 28], mean 0 and deviation 1 over the training set."""
    with np.load(SHARED / "data" / "mnist.npz", allow_pickle=False) as f:
        x, y = f[f"x_{part}"], f[f"y_{part}"]
    x = (torch.as_tensor(x).float().unsqueeze(1) / 255 - MEAN) / DEVIATION
    return x, torch.as_tensor(y.astype(np.int64))


def cifar(part: str) -> Images:
    """`part` is "train" (50,000) or "test" (10,000): [n, 3, 32, 32], in -1..1."""
    from PIL import Image

    with np.load(SHARED / "data" / "cifar10_jpeg.npz", allow_pickle=False) as f:
        data, ends, y = f[f"jpeg_{part}"].tobytes(), f[f"end_{part}"].tolist(), f[f"y_{part}"]
    starts = [0, *ends[:-1]]
    x = np.stack([np.asarray(Image.open(io.BytesIO(data[a:b]))) for a, b in zip(starts, ends, strict=True)])
    images = torch.as_tensor(x).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1
    return images, torch.as_tensor(y.astype(np.int64))


def flipped_and_shifted(x: Any) -> Any:
    """Each image of a batch [n, c, h, w] mirrored half of the time and shifted by up to 4 pixels."""
    n, _, h, w = x.shape
    x = torch.where((torch.rand(n) < 0.5).view(-1, 1, 1, 1), x.flip(3), x)
    x = nn.functional.pad(x, (4, 4, 4, 4))
    rows = torch.randint(0, 9, (n, 1)) + torch.arange(h)
    columns = torch.randint(0, 9, (n, 1)) + torch.arange(w)
    return x[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def written_otherwise(x: Any, pixels: float = 2.0, degrees: float = 10.0, stretch: float = 0.1) -> Any:
    """Each image of a batch of MNIST, [n, 1, h, w] or [n, h, w, 1], shifted, turned and stretched by up to so much."""
    n, black = len(x), -MEAN / DEVIATION
    images = x.reshape(n, 1, 28, 28)
    shift = 2 * pixels / 28  # an image is 2 wide
    some = torch.rand(5, n) * 2 - 1
    angle = some[0] * degrees * torch.pi / 180
    across, down = 1 + some[1] * stretch, 1 + some[2] * stretch
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([across * cos, -sin, some[3] * shift, sin, down * cos, some[4] * shift], 1)
    grid = nn.functional.affine_grid(rows.view(n, 2, 3), list(images.shape), align_corners=False)
    # What lies outside is 0.
    return (nn.functional.grid_sample(images - black, grid, align_corners=False) + black).reshape(x.shape)
