"""Float graphs to remove channels from: networks with every kind of coupling, and random ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch_zoo import IMAGE, Fn, SqueezeExcite, conv, seq

from intaglio.frontends import torch as frontend
from intaglio.graph import Graph, Node, Tensor, constant, verify
from intaglio.ops.add import Add
from intaglio.ops.average_pool2d import AveragePool2D
from intaglio.ops.batch_norm import BatchNorm
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depth_to_space import DepthToSpace
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.instance_norm import InstanceNorm
from intaglio.ops.layer_norm import LayerNorm
from intaglio.ops.logistic import Logistic
from intaglio.ops.mean import Mean
from intaglio.ops.mul import Mul
from intaglio.ops.pad import Pad
from intaglio.ops.prelu import PRelu
from intaglio.ops.relu import Relu
from intaglio.ops.reshape import Reshape
from intaglio.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from intaglio.ops.softmax import Softmax
from intaglio.ops.space_to_depth import SpaceToDepth
from intaglio.ops.split import Split
from intaglio.ops.strided_slice import ALL, StridedSlice
from intaglio.ops.transpose import Transpose
from intaglio.ops.transpose_conv import TransposeConv


def head(channels, classes=5):
    return seq(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def block(a, b, **kwargs):
    return seq(conv(a, b, 3, padding=1, bias=False, **kwargs), nn.BatchNorm2d(b), nn.ReLU())


class Resnet(nn.Module):
    """Two residual blocks, the second with a projection."""

    def __init__(self):
        super().__init__()
        self.stem, self.one, self.two = block(3, 8), seq(block(8, 12), conv(12, 8, 3, padding=1)), block(8, 16)
        self.short, self.head = conv(8, 16, 1), head(16)

    def forward(self, x):
        x = self.stem(x)
        x = F.relu(x + self.one(x))
        return self.head(self.two(x) + self.short(x))


class Shuffled(nn.Module):
    """Split, grouped convolution, concatenation and channel shuffle inside a network."""

    def __init__(self):
        super().__init__()
        self.first, self.grouped, self.last = conv(3, 16, 1), conv(8, 8, 3, padding=1, groups=2), conv(16, 4, 1)

    def forward(self, x):
        a, b = F.relu(self.first(x)).chunk(2, 1)
        y = torch.cat([a, F.relu(self.grouped(b))], 1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.last(y)


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.mid = conv(3, 8, 3, 2, 1), conv(8, 8, 3, 1, 1)
        self.up, self.out = nn.ConvTranspose2d(8, 4, 2, stride=2), conv(15, 2, 1)

    def forward(self, x):
        y = F.relu(self.mid(F.relu(self.down(x))))
        return self.out(torch.cat([x, self.up(y), F.interpolate(y, scale_factor=2)], 1))


NETWORKS = {
    "residual": (Resnet(), IMAGE),
    "concat": (Fn(lambda m, x: m.h(m.d(torch.cat([m.a(x), x, m.b(x)], 1))), a=block(3, 8), b=block(3, 4),
                  d=block(15, 8), h=head(8)), IMAGE),
    "mobilenet": (seq(block(3, 8), block(8, 8, groups=8), conv(8, 12, 1), nn.BatchNorm2d(12), nn.ReLU6(),
                      block(12, 24, groups=12), conv(24, 8, 1), nn.ReLU(), head(8)), IMAGE),
    "grouped": (seq(conv(3, 16, 1), conv(16, 24, 3, groups=2), nn.PReLU(), conv(24, 16, 1, groups=8), nn.ReLU(),
                    head(16)), IMAGE),
    "squeeze_excite": (seq(SqueezeExcite(), head(8)), IMAGE),
    "flatten": (seq(conv(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 12), nn.Tanh(),
                    nn.Linear(12, 5)), IMAGE),
    "shuffle": (Shuffled(), IMAGE),
    "unet": (Unet(), IMAGE),
    "spatial_gate": (Fn(lambda m, x: m.h(m.c(x) * torch.sigmoid(m.s(m.c(x)))), c=block(3, 8), s=conv(8, 1, 3, 1, 1),
                        h=head(8)), IMAGE),
    "scaled": (Fn(lambda m, x: m.h(F.hardswish(m.c(x)) * m.g - m.b), c=conv(3, 8, 1), h=head(8),
                  g=nn.Parameter(torch.randn(8, 1, 1)), b=nn.Parameter(torch.randn(1, 8, 8, 6))), IMAGE),
    "tokens": (Fn(lambda m, x: m.b(F.relu(m.l(m.a(x).flatten(2).transpose(1, 2)))).mean(1), a=conv(3, 8, 2, 2),
                  l=nn.Linear(8, 12), b=nn.Linear(12, 3)), IMAGE),
    "mlp": (seq(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8), nn.Sigmoid(), nn.Linear(8, 3)),
            (12,)),
    "conv1d": (seq(nn.Conv1d(4, 8, 3), nn.LeakyReLU(), nn.Conv1d(8, 8, 3), nn.Flatten(), nn.Linear(64, 3)), (4, 12)),
}  # fmt: skip


@cache
def network(name: str) -> Graph:
    """A seeded float graph, batch norms with statistics of their own."""
    module, shape = NETWORKS[name]
    generator = torch.Generator().manual_seed(len(name))
    with torch.no_grad():
        for p in (*module.parameters(), *module.buffers()):
            if p.is_floating_point():
                p.copy_(torch.randn(p.shape, generator=generator) * 0.4)
        for m in module.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.running_var.abs_().add_(0.3)
                m.weight.add_(1.0)
    return frontend.load(module.eval(), torch.zeros(1, *shape), name)


@dataclass
class Builder:
    """A float graph while operators are added to it; maps are [1][6][6][c] unless an operator says otherwise."""

    rng: np.random.Generator
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def tensor(self, shape) -> Tensor:
        t = Tensor(f"t{len(self.tensors)}", tuple(int(n) for n in shape), "float32")
        self.tensors[t.name] = t
        return t

    def const(self, *shape, positive=False) -> Tensor:
        data = self.rng.uniform(0.5, 1.5, shape) if positive else self.rng.normal(0, 0.5, shape)
        t = constant(f"c{len(self.tensors)}", data.astype(np.float32))
        self.tensors[t.name] = t
        return t

    def add(self, op, *ins, outputs=1) -> Tensor | list[Tensor]:
        free = [Tensor("?", (1,), "float32")] * outputs
        outs = [self.tensor(shape) for shape, _ in op.infer(ins, free)]
        name = f"{op.name}_{len(self.nodes)}"
        self.nodes.append(Node(name, op, tuple(t.name for t in ins), tuple(t.name for t in outs)))
        return outs[0] if outputs == 1 else outs

    def conv(self, x, channels, kernel=1, groups=1) -> Tensor:
        pad = (kernel // 2,) * 4
        weights = self.const(channels, kernel, kernel, x.shape[3] // groups)
        return self.add(Conv2D(pads=pad), x, weights, self.const(channels))

    def graph(self, x: Tensor, *outputs: Tensor) -> Graph:
        names = tuple(t.name for t in outputs)
        return verify(Graph("random", tuple(self.nodes), self.tensors, (x.name,), names), "float")


def random_graph(seed: int, size: int = 9) -> Graph:
    """Random operators on maps of one size, all of whose results end in one sum, so that a path leads out of each."""
    rng = np.random.default_rng([11, seed])
    b = Builder(rng)
    x = b.tensor((1, 6, 6, 3))
    maps = [b.conv(x, int(rng.choice([4, 6, 8]))), b.conv(x, 8, 3)]
    for _ in range(size):
        maps.append(_step(b, rng, maps[int(rng.integers(max(0, len(maps) - 3), len(maps)))], maps))
    last = b.add(Concatenation(3), *maps[-3:])
    pooled = b.add(Mean((1, 2)), last)
    out = b.add(FullyConnected(), pooled, b.const(4, last.shape[3]), b.const(4))
    return b.graph(x, out)


def _step(b, rng, x, maps):
    n, h, w, c = x.shape
    twins = [m for m in maps if m.shape == x.shape]
    kind = str(rng.choice([
        "conv", "grouped", "depthwise", "norm", "instance", "layer", "relu", "prelu", "gate", "sum", "sum", "product",
        "concat", "split", "slice", "reverse", "stride", "shuffle", "pad", "transposed", "blocks", "tokens", "scale",
        "softmax", "resize", "sideways", "lowered",
    ]))  # fmt: skip
    if kind == "grouped":
        groups = int(rng.choice([g for g in (2, 4, c) if c % g == 0]))
        return b.conv(x, groups * int(rng.integers(1, 4)), 3, groups)
    if kind == "depthwise":
        m = int(rng.integers(1, 3))
        return b.add(DepthwiseConv2D(pads=(1, 1, 1, 1)), x, b.const(1, 3, 3, c * m), b.const(c * m))
    if kind == "norm":
        return b.add(BatchNorm(), x, b.const(c), b.const(c), b.const(c), b.const(c, positive=True))
    if kind == "instance":
        return b.add(InstanceNorm(), x, b.const(c), b.const(c))
    if kind == "layer":
        return b.add(LayerNorm(), x, b.const(c), b.const(c))
    if kind == "relu":
        return b.add(Relu("relu"), x)
    if kind == "prelu":
        return b.add(PRelu(), x, b.const(c))
    if kind == "gate":
        squeezed = b.conv(b.add(Mean((1, 2), True), x), 4)
        return b.add(Mul(), x, b.add(Logistic(), b.conv(squeezed, c)))
    if kind in ("sum", "product"):
        return b.add(Add() if kind == "sum" else Mul(), x, twins[int(rng.integers(len(twins)))])
    if kind == "concat":
        return b.add(Concatenation(3), x, maps[int(rng.integers(len(maps)))]) if c < 12 else b.add(Relu("relu6"), x)
    if kind == "split":
        first, second = b.add(Split(3, (c // 2, c - c // 2)), x, outputs=2)
        return b.add(Concatenation(3), second, b.add(Relu("relu"), first))
    if kind == "slice":
        return b.add(StridedSlice((0, 0, 0, 1), (ALL, ALL, ALL, c - 2), (1, 1, 1, 1)), x) if c > 3 else b.conv(x, 4)
    if kind == "reverse":
        return b.add(StridedSlice((0, 0, 0, c - 1), (ALL, ALL, ALL, c), (1, 1, 1, -1)), x)
    if kind == "stride":
        return b.add(StridedSlice((0, 0, 0, 0), (ALL, ALL, ALL, c // 2), (1, 1, 1, 2)), x)
    if kind == "shuffle" and c % 2 == 0:
        y = b.add(Transpose((0, 1, 2, 4, 3)), b.add(Reshape((n, h, w, 2, c // 2)), x))
        return b.add(Reshape((n, h, w, c)), y)
    if kind == "pad":
        y = b.add(Pad(((0, 0), (1, 1), (0, 2), (0, 1)), 0.3), x)
        return b.add(AveragePool2D((3, 3)), y) if y.shape[1] == 8 and y.shape[2] == 8 else y
    if kind == "transposed":
        return b.add(TransposeConv((6, 6), (1, 1), (1, 1)), x, b.const(6, 3, 3, c), b.const(6))
    if kind == "blocks":
        deep = b.add(SpaceToDepth(2), x)
        return b.add(DepthToSpace(2), b.conv(deep, 4 * int(rng.integers(1, 4))) if rng.integers(2) else deep)
    if kind == "tokens":
        y = b.add(Reshape((1, h * w, c)), x)
        y = b.add(FullyConnected("relu", True), y, b.const(8, c), b.const(8))
        return b.add(Reshape((1, h, w, 8)), y)
    if kind == "sideways":
        y = b.add(Transpose((0, 2, 1)), b.add(Reshape((1, h * w, c)), x))
        y = b.add(FullyConnected("none", True), y, b.const(h * w, h * w), b.const(h * w))
        return b.add(Reshape((1, h, w, c)), b.add(Transpose((0, 2, 1)), y))
    if kind == "scale":
        return b.add(Add("relu"), b.add(Mul(), b.const(1, 1, 1, c), x), b.const(1))
    if kind == "softmax":
        return b.add(Softmax(), x)
    if kind == "resize":
        return b.add(AveragePool2D((2, 2), (2, 2)), b.add(ResizeNearestNeighbor((12, 12)), x))
    if kind == "lowered":
        return b.add(Concatenation(1), *(b.add(Split(1, (3, 3)), x, outputs=2)))
    return b.conv(x, int(rng.choice([4, 6, 8])), 3)
