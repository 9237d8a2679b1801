"""The voice activity detector of silero-vad (MIT) in PyTorch, for the weights that its package ships as safetensors.

The package has a class for these weights in another framework only, so this one is written to its parameter names. That
it means the same is checked against an ONNX file of the package, whose weights are of another training: with those of
the ONNX file, the class must give what onnxruntime gives (`disagreement`).
"""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor, nn

SAMPLES, REFLECTED = 576, 64
"""64 samples of the chunk before and 512 new ones at 16 kHz; the last of them are mirrored behind the end."""
HIDDEN = 128


class FromSpectrum(nn.Module):
    """Magnitudes [1, 129, 4], hidden and cell state [1, 128] -> probability of speech [1, 1], hidden, cell."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, HIDDEN, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(HIDDEN, HIDDEN)
        self.final_conv = nn.Conv1d(HIDDEN, 1, 1)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        cell = self.lstm_cell
        # The cell written out (Hochreiter and Schmidhuber 1997): two linear maps and four gates.
        gates = nn.functional.linear(x.flatten(1), cell.weight_ih, cell.bias_ih)
        gates = gates + nn.functional.linear(h, cell.weight_hh, cell.bias_hh)
        enter, forget, value, leave = gates.chunk(4, dim=1)
        c = forget.sigmoid() * c + enter.sigmoid() * value.tanh()
        h = leave.sigmoid() * c.tanh()
        y = nn.functional.linear(h.relu(), self.final_conv.weight.flatten(1), self.final_conv.bias)
        return y.sigmoid(), h, c


class SileroVad(FromSpectrum):
    """Samples [1, 640], of which the last 64 mirror those before, and the states -> as FromSpectrum."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = self.stft_conv(x.unsqueeze(1))
        real, imaginary = parts[:, :129], parts[:, 129:]
        return super().forward((real * real + imaginary * imaginary).sqrt(), h, c)


def module(name: str, weights: bytes) -> FromSpectrum:
    """One of the classes above with the weights of a safetensors file, in evaluation mode."""
    made = {"FromSpectrum": FromSpectrum, "SileroVad": SileroVad}[name]()
    state = {key: torch.tensor(value) for key, value in safetensors(weights).items()}
    made.load_state_dict({key: value for key, value in state.items() if key in made.state_dict()})
    return made.eval()


def disagreement(data: bytes) -> float:
    """How far SileroVad with the weights of silero_vad_16k_sequence.onnx is from onnxruntime on that file, relative."""
    import onnx
    import onnxruntime

    graph = onnx.load_from_string(data).graph
    held = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in graph.initializer}
    [lstm] = [n for n in graph.node if n.op_type == "LSTM"]
    w, r, b = (held[name][0] for name in lstm.input[1:4])
    state = {"stft_conv.weight": held["stft.forward_basis_buffer"]}
    for key, name in ("final_conv", "output"), *((f"conv{k + 1}", f"encoder.{k}") for k in range(4)):
        state |= {f"{key}.{part}": held[f"{name}.{part}"] for part in ("weight", "bias")}
    parts = {"weight_ih": w, "weight_hh": r, "bias_ih": b[: 4 * HIDDEN], "bias_hh": b[4 * HIDDEN :]}
    for key, value in parts.items():
        # ONNX orders the gates input, output, forget, cell; PyTorch input, forget, cell, output.
        i, o, f, g = value.chunk(4)
        state[f"lstm_cell.{key}"] = torch.cat([i, f, g, o])
    made = SileroVad()
    made.load_state_dict(state)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    inputs = examples("SileroVad", 16, 2)
    worst = 0.0
    for x, h, c in zip(*inputs, strict=True):
        want = session.run(None, {"input": x[None, :SAMPLES], "h": h[None, None], "c": c[None, None]})
        with torch.no_grad():
            got = made(*(torch.tensor(v[None]) for v in (x, h, c)))
        for one, other in zip(got, want, strict=True):
            worst = max(worst, float(np.abs(one.numpy().ravel() - other.ravel()).max() / np.abs(other).max()))
    return worst


def safetensors(data: bytes) -> dict[str, np.ndarray]:
    """The float32 arrays of a safetensors file: the length of a JSON header (uint64), the header, the bytes."""
    start = 8 + int.from_bytes(data[:8], "little")
    arrays = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32", f"{name} is {entry['dtype']}"
            begin, end = entry["data_offsets"]
            arrays[name] = np.frombuffer(data[start + begin : start + end], np.float32).reshape(entry["shape"])
    return arrays


def examples(name: str, n: int, seed: int) -> list[np.ndarray]:
    """n inputs of a class: noise with the loudness of speech, and states in the range that an LSTM's take."""
    rng = np.random.default_rng(seed)
    h, c = (rng.uniform(-1, 1, (n, HIDDEN)).astype(np.float32) for _ in range(2))
    if name == "FromSpectrum":
        return [np.abs(rng.normal(0, 1, (n, 129, 4))).astype(np.float32), h, c]
    x = (0.1 * rng.normal(size=(n, SAMPLES))).astype(np.float32)
    return [np.concatenate([x, x[:, -2 : -2 - REFLECTED : -1]], axis=1), h, c]
