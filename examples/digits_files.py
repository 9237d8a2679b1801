"""Writes the digits CNN and its data as files: what `intaglio compress` and `intaglio quantize` take.

`digits_files.py FOLDER` writes FOLDER/digits.tflite (float), train.npz and test.npz (x: float32 [n, 8, 8, 1]; y: int64
[n]), the same on every run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import digits
import numpy as np
import torch

from intaglio.emit import tflite
from intaglio.frontends import torch as frontend
from intaglio.quantize.simplify import simplify


def main(folder: Path) -> None:
    module, *splits = digits.train()
    graph = simplify(frontend.load(module, torch.zeros(1, 1, 8, 8), "digits"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "digits.tflite").write_bytes(tflite.write(graph))
    for name, (x, y) in zip(("train", "test"), splits, strict=True):
        np.savez(folder / f"{name}.npz", x=digits.nhwc(x), y=y)
    print(f"{folder}: digits.tflite, train.npz, test.npz")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: digits_files.py FOLDER")
    main(Path(sys.argv[1]))
