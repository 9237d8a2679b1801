"""Makes net.pt2, net.onnx and net.tflite: one module, exported three ways, and x.npz with its input and output.

The .tflite is made by litert-torch 0.10.0 (PyPI), Google's converter, which keeps the module's NCHW input. Run it where
torch, onnx and litert-torch are installed; the tests need none of them.
"""

from pathlib import Path

import litert_torch
import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent


class Net(nn.Module):
    """Convolutions, a depthwise one, a gate, a residual, pooling and a flattening whose order matters."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depth = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())
        self.point = nn.Conv2d(8, 8, 1)
        self.head = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 5), nn.Softmax(1))

    def forward(self, x):
        x = self.stem(x)
        y = self.depth(x)
        return self.head(x + self.point(y * self.gate(y)))


def main():
    torch.manual_seed(5)
    net = Net().eval()
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.2)
                m.running_var.uniform_(0.5, 1.5)
        x = torch.randn(4, 3, 16, 12)
        y = torch.cat([net(one[None]) for one in x])
    torch.export.save(torch.export.export(net, (x[:1],)), HERE / "net.pt2")
    torch.onnx.export(net, (x[:1],), HERE / "net.onnx", dynamo=False, opset_version=17)
    litert_torch.convert(net, (x[:1],)).export(str(HERE / "net.tflite"))
    np.savez_compressed(HERE / "x.npz", x=x.numpy(), y=y.numpy())


if __name__ == "__main__":
    main()
