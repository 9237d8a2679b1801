"""Writes the digits CNN and its data as files, for the commands of the README.

`digits_files.py FOLDER` writes FOLDER/digits.tflite, digits.onnx and digits.pt2 (the same float network), train.npz and
test.npz (x: float32 [n, 8, 8, 1]; y: int64 [n]), the same on every run. Without the package onnx there is no .onnx.
"""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import digits
import numpy as np
import torch

from intaglio.emit import tflite
from intaglio.extras import INSTALL
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend


def main(folder: Path) -> None:
    module, *splits = digits.train()
    example = torch.zeros(1, 1, 8, 8)
    folder.mkdir(parents=True, exist_ok=True)
    graph = simplify(frontend.load(module, example, "digits"))
    (folder / "digits.tflite").write_bytes(tflite.write(graph))
    torch.export.save(torch.export.export(module, (example,)), folder / "digits.pt2")
    written = ["digits.tflite", "digits.pt2"]
    if find_spec("onnx"):
        with warnings.catch_warnings(action="ignore"):  # PyTorch would rather have its newer exporter used
            torch.onnx.export(module, (example,), folder / "digits.onnx", dynamo=False, input_names=["x"])
        written.append("digits.onnx")
    else:
        print(f"digits.onnx is left out; with {INSTALL['onnx']} it is written as well")
    for name, (x, y) in zip(("train", "test"), splits, strict=True):
        np.savez(folder / f"{name}.npz", x=digits.nhwc(x), y=y)
        written.append(f"{name}.npz")
    print(f"{folder}: {', '.join(written)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: digits_files.py FOLDER")
    main(Path(sys.argv[1]))
