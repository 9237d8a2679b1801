"""Small seeded modules that between them use every ATen operator intaglio translates."""

import re

import torch
import torch.nn.functional as F
from torch import nn

IMAGE = (3, 8, 6)


class Fn(nn.Module):
    """A function with some layers."""

    def __init__(self, fn, **layers):
        super().__init__()
        self.fn = fn
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *xs):
        return self.fn(self, *xs)


def seq(*layers):
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """conv-bn-relu, a MobileNetV2-like block with a residual, and a head."""

    def __init__(self):
        super().__init__()
        self.stem = seq(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.block = seq(
            nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(inplace=True),
            nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU6(inplace=True),
            nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8),
        )  # fmt: skip
        self.head = seq(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 5), nn.Softmax(1))

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.block(x))


class SqueezeExcite(nn.Module):
    """MobileNetV3's gate: a per-channel hard sigmoid that multiplies the map."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding="same")
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, x):
        x = F.hardswish(self.conv(x))
        gate = F.hardsigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        return x * gate


class Shuffle(nn.Module):
    """ShuffleNet: split, grouped convolution, concatenation, channel shuffle."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2)

    def forward(self, x):
        a, b = self.conv(x).chunk(2, 1)
        y = torch.cat([a, F.relu(self.grouped(b))], 1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Unet(nn.Module):
    """Down, up (transposed convolution and nearest neighbour), and a skip connection."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, 2, 1)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.out = nn.Conv2d(11, 2, 1)

    def forward(self, x):
        y = F.relu(self.down(x))
        return self.out(torch.cat([x, self.up(y), F.interpolate(y, scale_factor=2)], 1))


def conv(*args, **kwargs):
    return nn.Conv2d(*args, **kwargs)


ZOO = {
    "conv": (conv(3, 5, 3), IMAGE),
    "conv_no_bias_stride": (conv(3, 5, (3, 2), stride=(2, 1), padding=(1, 0), bias=False), IMAGE),
    "conv_same_even_kernel": (conv(3, 4, (4, 2), padding="same"), IMAGE),
    "conv_same_dilated": (conv(3, 4, 3, padding="same", dilation=2), IMAGE),
    "conv_valid": (conv(3, 4, 2, padding="valid"), IMAGE),
    "grouped": (conv(6, 9, 3, padding=1, groups=3), (6, 5, 5)),
    "depthwise": (conv(3, 3, 3, padding=1, groups=3), IMAGE),
    "depthwise_multiplier": (conv(3, 6, 3, stride=2, padding=1, groups=3), IMAGE),
    "one_channel": (seq(conv(1, 4, 3), nn.ReLU()), (1, 6, 6)),
    "conv_transpose": (nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), IMAGE),
    "conv1d": (seq(nn.Conv1d(4, 6, 3, padding=1, stride=2), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2)), (4, 12)),
    "conv1d_plain": (
        seq(
            nn.Conv1d(3, 6, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(6, 8, 3),
            nn.ReLU6(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(8, 2),
        ),
        (3, 20),
    ),
    "conv_bn_relu": (seq(conv(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)), IMAGE),
    "conv_bn_relu6": (seq(conv(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU6()), IMAGE),
    "depthwise_bn": (seq(conv(3, 6, 3, groups=3, bias=False), nn.BatchNorm2d(6)), IMAGE),
    "transpose_bn": (seq(nn.ConvTranspose2d(3, 4, 2, 2), nn.BatchNorm2d(4)), IMAGE),
    "bn_alone": (seq(nn.BatchNorm2d(3), nn.ReLU(), conv(3, 4, 3)), IMAGE),
    "bn_plain": (nn.BatchNorm2d(3, affine=False), IMAGE),
    "mlp_bn": (seq(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 4)), (12,)),
    "linear_no_bias": (nn.Linear(7, 3, bias=False), (7,)),
    "linear_sequence": (seq(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), (5, 6)),
    "matmul": (Fn(lambda m, x: x @ m.w + m.b, w=nn.Parameter(torch.randn(6, 4)), b=nn.Parameter(torch.randn(4))), (6,)),
    "hardtanh": (seq(conv(3, 4, 1), nn.Hardtanh(), conv(4, 4, 1), nn.Hardtanh(0, 6), nn.Hardtanh(-0.5, 0.7)), IMAGE),
    "clamp": (Fn(lambda m, x: x.clamp(0, 6) + x.clamp(min=0) + x.clamp(max=0.5) + x.clamp(-0.3, 2)), IMAGE),
    "relu_alone": (Fn(lambda m, x: F.relu(x) + F.relu6(x * 4)), IMAGE),
    "curves": (Fn(lambda m, x: torch.cat([torch.sigmoid(x), torch.tanh(x), F.hardswish(x)], 1)), IMAGE),
    "sigmoid_pooled": (Fn(lambda m, x: F.max_pool2d(torch.sigmoid(x), 2).flatten(1)), IMAGE),
    "leaky": (seq(conv(3, 4, 1), nn.LeakyReLU(0.1), nn.PReLU()), IMAGE),
    "silu": (seq(conv(3, 4, 1), nn.SiLU(inplace=True)), IMAGE),
    "max_pool": (seq(conv(3, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.ReLU()), IMAGE),
    "max_pool_ceil_equal": (nn.MaxPool2d(2, ceil_mode=True), IMAGE),
    "avg_pool": (nn.AvgPool2d((2, 3)), IMAGE),
    "avg_pool_count_pad": (nn.AvgPool2d(3, 2, 1), IMAGE),
    "avg_pool_no_count_pad": (nn.AvgPool2d(3, 1, 1, count_include_pad=False), IMAGE),
    "adaptive_avg": (seq(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)), IMAGE),
    "adaptive_avg_divides": (nn.AdaptiveAvgPool2d((4, 2)), IMAGE),
    "adaptive_max": (seq(nn.AdaptiveMaxPool2d(1), nn.Flatten()), IMAGE),
    "mean": (Fn(lambda m, x: x.mean((2, 3)) + x.mean([2, 3], keepdim=True).flatten(1)), IMAGE),
    "mean_channels": (Fn(lambda m, x: x.mean(1)), IMAGE),
    "amax": (Fn(lambda m, x: x.amax((2, 3))), IMAGE),
    "flatten_linear": (seq(conv(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 4, 5)), IMAGE),
    "flatten_relu_linear": (
        Fn(
            lambda m, x: m.b(F.dropout(F.relu(m.bn(m.c(x).flatten(1)) * m.g), training=m.training)),
            c=conv(3, 4, 3),
            bn=nn.BatchNorm1d(96),
            g=nn.Parameter(torch.randn(96)),
            b=nn.Linear(96, 5),
        ),
        IMAGE,
    ),
    "flatten_out": (seq(conv(3, 4, 3), nn.Flatten()), IMAGE),
    "flatten_add": (
        Fn(lambda m, x: m.c(x).flatten(1) + m.l(x.mean((2, 3))), c=conv(3, 4, 3), l=nn.Linear(3, 96)),
        IMAGE,
    ),
    "view_back": (Fn(lambda m, x: m.c(x.view(x.size(0), -1).view(-1, 3, 8, 6)), c=conv(3, 2, 1)), IMAGE),
    "permute_free": (Fn(lambda m, x: m.l(m.c(x).permute(0, 2, 3, 1)), c=conv(3, 4, 1), l=nn.Linear(4, 5)), IMAGE),
    "tokens": (Fn(lambda m, x: m.l(m.c(x).flatten(2).transpose(1, 2)), c=conv(3, 4, 2, 2), l=nn.Linear(4, 5)), IMAGE),
    "squeeze": (Fn(lambda m, x: x.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1).unsqueeze(1)), IMAGE),
    "rows": (Fn(lambda m, x: m.l(x.reshape(-1, 3)).reshape(-1, 4, 5), l=nn.Linear(3, 5)), (4, 3)),
    "linear_to_map": (Fn(lambda m, x: m.c(m.l(x).view(-1, 8, 1, 1)), l=nn.Linear(5, 8), c=conv(8, 3, 1)), (5,)),
    "arithmetic": (
        Fn(
            lambda m, x: (2 - x * 0.5) / 3 + x * m.v - (x - 1) * -1.5 + torch.add(x, x, alpha=2),
            v=nn.Parameter(torch.randn(3, 1, 1)),
        ),
        IMAGE,
    ),
    "negate_square": (Fn(lambda m, x: torch.cat([-x, x**2], 1)), IMAGE),
    "broadcast_maps": (Fn(lambda m, x: x * x.mean((2, 3), keepdim=True) + x.mean(1, keepdim=True)), IMAGE),
    "extremes": (
        Fn(lambda m, x: torch.maximum(x, -x) + torch.minimum(x, m.v), v=nn.Parameter(torch.randn(1, 3, 1, 1))),
        IMAGE,
    ),
    "cat_channels": (Fn(lambda m, x: torch.cat([x, m.c(x), x * 3], 1), c=conv(3, 2, 1)), IMAGE),
    "cat_height": (Fn(lambda m, x: torch.cat([x, m.c(x)], dim=-2), c=conv(3, 3, 1)), IMAGE),
    "pad": (Fn(lambda m, x: m.c(F.pad(x, (1, 0, 0, 2))) + 0, c=conv(3, 2, 3)), IMAGE),
    "pad_value": (seq(nn.ConstantPad2d((1, 2, 0, 1), -0.7), nn.MaxPool2d(2)), IMAGE),
    "zero_pad": (seq(nn.ZeroPad2d((0, 1, 0, 1)), conv(3, 4, 3, stride=2)), IMAGE),
    "slices": (Fn(lambda m, x: x[:, 1:, ::2, -3:-1] * 2 + x[:, :2, 1::2, 0:2]), IMAGE),
    "select": (Fn(lambda m, x: x[:, :, -1] + x[:, 1:2, 3]), IMAGE),
    "split": (Fn(lambda m, x: torch.split(x, [2, 1], 1)[0] + torch.split(x, 1, 1)[2] + x.chunk(3, 1)[1]), IMAGE),
    "upsample": (seq(conv(3, 4, 1), nn.Upsample(scale_factor=(2, 3))), IMAGE),
    "softmax": (seq(nn.Linear(6, 4), nn.Softmax(-1)), (6,)),
    "softmax_channels": (seq(conv(3, 4, 1), nn.Softmax2d()), IMAGE),
    "residual": (Residual(), IMAGE),
    "squeeze_excite": (SqueezeExcite(), IMAGE),
    "shuffle": (Shuffle(), IMAGE),
    "unet": (Unet(), IMAGE),
    "two_outputs": (Fn(lambda m, x: (m.c(x), m.l(x.mean((2, 3)))), c=conv(3, 2, 1), l=nn.Linear(3, 2)), IMAGE),
    "no_change": (seq(nn.Identity(), nn.Dropout(0.5), conv(3, 2, 1)), IMAGE),
}


def model(name):
    """(module in evaluation mode with seeded parameters and statistics, shape of a sample)."""
    module, shape = ZOO[name]
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    with torch.no_grad():
        for p in (*module.parameters(), *module.buffers()):
            if p.is_floating_point():
                p.copy_(torch.randn(p.shape, generator=generator) * 0.4)
        for m in module.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.running_var.abs_().add_(0.3)
                if m.affine:
                    m.weight.add_(1.0)
    return module.eval(), shape


def sample(name, n=12):
    """Seeded inputs as the module takes them."""
    generator = torch.Generator().manual_seed(7 + len(name))
    return torch.randn(n, *ZOO[name][1], generator=generator)


def channels_last(x):
    """NCHW -> NHWC; anything but four dimensions is left alone."""
    return x.permute(0, 2, 3, 1).contiguous() if x.dim() == 4 else x


def order_of(graph, name):
    """The memory order that the graph's notes state for an output."""
    note = next(n for n in graph.notes if n.startswith(f"output {name}:"))
    return [int(d) for d in re.search(r"order \(([^)]*)\)", note)[1].split(",") if d.strip()]


NOT_IN_TFLITE = {
    "conv_transpose": "its cut of 1 with an odd output is neither SAME nor VALID",
    "avg_pool_no_count_pad": "symmetrical padding of an average pool is neither SAME nor VALID",
    "silu": "SILU is no operator of TFLite",
    "negate_square": "NEG of TFLM is float32 only",
    "extremes": "NEG of TFLM is float32 only",
}
"""What the oracle cannot be asked about."""
