"""Blocks of the small networks that people train: the module's numbers, then int8 with host C equal to NumPy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from harness import compare, host_c
from torch import nn
from torch_zoo import Fn, channels_last, conv, order_of, seq

from intaglio import interpret
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.quantize.post_training import post_training

torch.set_num_threads(1)


def conv_bn(i, o, k=3, s=1, g=1, act=nn.ReLU6):
    return seq(conv(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o), *([act()] if act else []))


def separable(i, o, s=1, act=nn.ReLU):
    return seq(conv_bn(i, i, 3, s, i, act), conv_bn(i, o, 1, act=act))


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, c, act=nn.ReLU, gate=nn.Hardsigmoid):
        super().__init__()
        self.path = seq(nn.AdaptiveAvgPool2d(1), conv(c, c // 4, 1), act(), conv(c // 4, c, 1), gate())

    def forward(self, x):
        return x * self.path(x)


class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = seq(*layers)

    def forward(self, x):
        return x + self.layers(x)


class Ghost(nn.Module):
    """GhostNet: half of the channels are cheap depthwise copies of the other half."""

    def __init__(self, i, o):
        super().__init__()
        self.main, self.cheap = conv_bn(i, o // 2, 1, act=nn.ReLU), conv_bn(o // 2, o // 2, 3, g=o // 2, act=nn.ReLU)

    def forward(self, x):
        y = self.main(x)
        return torch.cat([y, self.cheap(y)], 1)


class Shuffle(nn.Module):
    """ShuffleNetV2's unit of stride 1."""

    def __init__(self, c):
        super().__init__()
        h = c // 2
        self.path = seq(conv_bn(h, h, 1, act=nn.ReLU), conv_bn(h, h, 3, g=h, act=None), conv_bn(h, h, 1, act=nn.ReLU))
        self.mix = nn.ChannelShuffle(2)

    def forward(self, x):
        a, b = x.chunk(2, dim=1)
        return self.mix(torch.cat((a, self.path(b)), dim=1))


class Fire(nn.Module):
    """SqueezeNet."""

    def __init__(self, i, s, e):
        super().__init__()
        self.squeeze, self.one, self.three = conv(i, s, 1), conv(s, e, 1), conv(s, e, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


class RepVgg(nn.Module):
    """A 3x3, a 1x1 and an identity branch, each with its batch norm, as in training."""

    def __init__(self, c):
        super().__init__()
        self.a, self.b, self.c = conv_bn(c, c, 3, act=None), conv_bn(c, c, 1, act=None), nn.BatchNorm2d(c)

    def forward(self, x):
        return F.relu(self.a(x) + self.b(x) + self.c(x))


class ConvNext(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.depth, self.norm = conv(c, c, 7, padding=3, groups=c), nn.LayerNorm(c, eps=1e-6)
        self.up, self.down = nn.Linear(c, 2 * c), nn.Linear(2 * c, c)
        self.gamma = nn.Parameter(torch.ones(c) * 0.5)

    def forward(self, x):
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.down(F.gelu(self.up(y)))).permute(0, 3, 1, 2)


class Temporal(nn.Module):
    """A TCN's block: dilated convolutions on a sequence, cut to the past."""

    def __init__(self, i, o, dilation):
        super().__init__()
        self.cut = 2 * dilation
        self.conv, self.skip = nn.Conv1d(i, o, 3, padding=2 * dilation, dilation=dilation), nn.Conv1d(i, o, 1)

    def forward(self, x):
        return F.relu(F.relu(self.conv(x)[:, :, : -self.cut]) + self.skip(x))


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = conv_bn(3, 4, act=nn.ReLU), conv_bn(4, 8, act=nn.ReLU), conv_bn(12, 4, act=nn.ReLU)
        self.out = conv(4, 1, 1)

    def forward(self, x):
        a = self.a(x)
        b = F.interpolate(self.b(F.max_pool2d(a, 2)), scale_factor=2, mode="bilinear", align_corners=False)
        return torch.sigmoid(self.out(self.c(torch.cat([a, b], 1))))


def head(c, classes=5):
    return seq(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes))


IMAGE = (3, 16, 12)
NETWORKS = {
    "mobilenet_v2": (seq(conv_bn(3, 8, 3, 2), Residual(conv_bn(8, 16, 1), conv_bn(16, 16, 3, 1, 16),
                                                       conv_bn(16, 8, 1, act=None)), head(8)), IMAGE),
    "mobilenet_v3": (seq(conv_bn(3, 8, 3, 2, act=nn.Hardswish),
                         Residual(conv_bn(8, 16, 1, act=nn.Hardswish), conv_bn(16, 16, 5, 1, 16, nn.Hardswish),
                                  Gate(16), conv_bn(16, 8, 1, act=None)), head(8)), IMAGE),
    "efficientnet": (seq(conv_bn(3, 8, 3, 2, act=nn.SiLU),
                         Residual(conv_bn(8, 16, 1, act=nn.SiLU), conv_bn(16, 16, 3, 1, 16, nn.SiLU),
                                  Gate(16, nn.SiLU, nn.Sigmoid), conv_bn(16, 8, 1, act=None)), head(8)), IMAGE),
    "ghostnet": (seq(Ghost(3, 8), Gate(8), Ghost(8, 8), head(8)), IMAGE),
    "shufflenet": (seq(conv_bn(3, 8, 3, 2, act=nn.ReLU), Shuffle(8), Shuffle(8), head(8)), IMAGE),
    "squeezenet": (seq(conv(3, 8, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2), Fire(8, 2, 4), nn.Dropout(), conv(8, 5, 1),
                       nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (3, 20, 16)),
    "repvgg": (seq(conv_bn(3, 8, 3, 2, act=nn.ReLU), RepVgg(8), head(8)), IMAGE),
    "convnext": (seq(conv(3, 8, 4, 4), Fn(lambda m, x: m.n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
                                          n=nn.LayerNorm(8)), ConvNext(8), head(8)), IMAGE),
    "ds_cnn": (seq(conv(1, 8, (5, 4), 2, (2, 1)), nn.BatchNorm2d(8), nn.ReLU(), separable(8, 8), separable(8, 8),
                   nn.AvgPool2d((12, 4)), nn.Flatten(), nn.Linear(8, 5), nn.Softmax(1)), (1, 24, 10)),
    "tcn": (seq(Temporal(4, 8, 1), Temporal(8, 8, 2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 5)), (4, 20)),
    "keyword_1d": (seq(nn.Conv1d(4, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 3, groups=8),
                       nn.MaxPool1d(2), nn.Flatten(), nn.Linear(32, 5)), (4, 20)),
    "autoencoder": (seq(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4), nn.ReLU(),
                        nn.Linear(4, 16), nn.ELU(), nn.Linear(16, 20)), (20,)),
    "conv_autoencoder": (seq(conv(3, 8, 3, 2, 1), nn.LeakyReLU(0.1), conv(8, 4, 3, 2, 1), nn.PReLU(4),
                             nn.ConvTranspose2d(4, 8, 2, 2), nn.ReLU(), conv(8, 12, 3, padding=1), nn.PixelShuffle(2)),
                         IMAGE),
    "unet": (Unet(), IMAGE),
    "group_norm": (seq(conv(3, 8, 3), nn.GroupNorm(1, 8), nn.ReLU(), conv(8, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(),
                       conv(8, 4, 1), nn.InstanceNorm2d(4, affine=True), head(4)), IMAGE),
    "reductions": (Fn(lambda m, x: m.l(torch.cat([x.mean((2, 3)), x.amax((2, 3)), x.sum((2, 3)) * 0.01], 1)),
                      l=nn.Linear(9, 5)), IMAGE),
    "einsum": (Fn(lambda m, x: torch.einsum("bchw,cd->bdhw", x, m.w).flip(3).transpose(2, 3) @ m.v,
                  w=nn.Parameter(torch.zeros(3, 5)), v=nn.Parameter(torch.zeros(16, 4))), IMAGE),
    "unshuffle": (seq(nn.PixelUnshuffle(2), conv(12, 8, 1), nn.Upsample(size=(11, 9), mode="bilinear",
                                                                      align_corners=True), nn.Upsample((7, 8)),
                      nn.Hardtanh(-2, 2), conv(8, 2, 3), nn.SELU()), IMAGE),
}  # fmt: skip
SQNR = {"group_norm": 15.0}
"""Least signal to noise of the int8 outputs, in dB, where it is less than 18."""


def network(name):
    """(module with seeded weights and statistics, samples as it takes them)."""
    module, shape = NETWORKS[name]
    generator = torch.Generator().manual_seed(len(name))
    with torch.no_grad():
        for key, p in (*module.named_parameters(), *module.named_buffers()):
            if p.is_floating_point():
                wide = max(p[0].numel(), 1) ** -0.5 if p.dim() > 1 else 0.2
                p.copy_(torch.randn(p.shape, generator=generator) * wide + (0.25 if key.endswith("var") else 0.0))
        for m in module.modules():
            if hasattr(m, "running_var") and m.running_var is not None:
                m.running_var.abs_().add_(0.5)
            if isinstance(m, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm) and m.weight is not None:
                m.weight.add_(1.0)
    return module.eval(), torch.randn(12, *shape, generator=generator)


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name):
    module, x = network(name)
    graph = frontend.load(module, x[:1], name)
    with torch.no_grad():
        want = module(x).permute(order_of(graph, graph.outputs[0])).numpy()
    rows = channels_last(x).numpy()
    for g in (graph, simplify(graph)):
        got = np.concatenate([run_float(g, [row[None]])[0] for row in rows])
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    quantized = post_training(graph, rows)
    t, u = quantized.tensors[quantized.inputs[0]], quantized.tensors[quantized.outputs[0]]
    q = np.clip(np.rint(rows / np.float32(t.scale)) + t.zero_point, -128, 127).astype(np.int8)
    feeds = [[row[None]] for row in q[:4]]
    bytes_ = [interpret.step(quantized, row, {})[0] for row in feeds]
    real = (np.concatenate([b[0] for b in bytes_]).astype(np.float64) - u.zero_point) * u.scale
    noise = np.square(real - want[:4]).mean()
    assert 10 * np.log10(np.square(want[:4]).mean() / noise) > SQNR.get(name, 18.0)
    compare("host C", [quantized], [feeds], [bytes_], host_c([quantized], [feeds]), 0)
