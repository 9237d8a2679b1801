"""intaglio engraves neural networks into firmware: models of TFLite, ONNX and PyTorch to plain C for one board,
byte-exact in integers.

The public API: the verbs of the command line as functions. `model` is a .tflite, .onnx or .pt2 file, a folder
that `compile` wrote, or a Graph; `board` is a name from `intaglio boards` or a folder with a board.toml. Bad input
raises IntaglioError. What takes long or needs a package is imported when it is called. `intaglio.compress(model,
recipe, train, test, out)` is recipes/run.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from . import compress
from .errors import IntaglioError

if TYPE_CHECKING:
    from pathlib import Path

    from .accuracy import Accuracy
    from .compiled_folder import Compiled
    from .graph import Array, Graph, Preference
    from .profile import Report
    from .summary import Summary

    Model = str | os.PathLike[str] | Graph

__all__ = [
    "IntaglioError", "compile", "compress", "evaluate", "export", "from_torch", "inspect", "load", "measure", "run",
    "to_int8", "version",
]  # fmt: skip


def version() -> str:
    """The version of the installed package."""
    from . import extras

    return extras.version()


def load(model: Model) -> Graph:
    """The Graph of a .tflite, .onnx or .pt2 file or of a compiled folder. Raises ModelError, UnsupportedError."""
    from pathlib import Path

    from . import models

    return models.opened(Path(model)) if isinstance(model, str | os.PathLike) else model


def from_torch(module: Any, example: Any, name: str = "model") -> Graph:
    """A float Graph of an nn.Module; see frontends/torch.py. Raises UnsupportedError, ToolError without PyTorch."""
    from .frontends import torch

    return torch.load(module, example, name)


def inspect(model: Model) -> Summary:
    """What a model is made of; `problems` lists what is unsupported and why. Raises ModelError."""
    from pathlib import Path

    from . import models
    from .summary import summarize

    return summarize(models.shown(Path(model)) if isinstance(model, str | os.PathLike) else model)


def to_int8(
    model: Model,
    data: Mapping[str, Array] | Array,
    method: Literal["minmax", "percentile", "mse", "entropy"] | None = None,
    *,
    keep_float: Sequence[str] = (),
    weight_bits: int | Mapping[str, int] = 8,
    equalized: bool = False,
    bias_corrected: bool = True,
    rounding: Literal["nearest", "learned"] = "nearest",
    activation_bits: Literal[8, 16] = 8,
) -> Graph:
    """A float model, quantized: see quantize/post_training.py. `data`: representative float inputs, [n, ...], by input
    name or as one array.

    `keep_float`: names of layers, or patterns (`*softmax*`), that stay in float32. `weight_bits`: 8, 4 or
    2, for all layers or by name or pattern ({"*": 4, "logits": 8}: the later ones win, others have 8). `rounding`:
    `learned` chooses each weight's rounding for its layer's result. `activation_bits`: 16 is for int16 activations with
    int8 weights; without a `method`, ranges are chosen by percentile, or by minmax for 16 bits.
    Raises DataError for data that does not fit the model or an unknown layer, ToolError without PyTorch.
    """
    from .quantize.post_training import post_training

    return post_training(
        load(model), data, method, equalized=equalized, bias_corrected=bias_corrected, rounding=rounding,
        keep_float=keep_float, weight_bits=weight_bits, activation_bits=activation_bits,
    )  # fmt: skip


def compile(
    model: Model,
    board: str | os.PathLike[str],
    out: str | os.PathLike[str],
    build: bool = True,
    *,
    lossless: bool = False,
    weights: Preference = "dense",
) -> Compiled:
    """Write a model as a folder of C for a board, and firmware.elf unless `build` is false. A float model becomes
    float32 C: `to_int8` quantizes it first. `lossless` removes what no output byte depends on: see
    compress/lossless.py. `weights`: how flash holds them, see select/weights.py.

    Raises UnsupportedError, FitError, BuildError, ToolError, BoardError, OutputError, and DataError for `lossless` with
    a float model; then nothing is written.
    """
    from pathlib import Path

    from . import boards, compiled_folder

    return compiled_folder.compiled(
        load(model), boards.load(board), Path(out), build, lossless=lossless, weights=weights
    )


def run(
    model: Model, board: str | os.PathLike[str], inputs: Mapping[str, Array] | Array, timeout: float = 600.0
) -> dict[str, Array]:
    """Inferences on a board: arrays [n, ...] by input name or one array -> arrays [n, ...] by output name, without the
    model's leading dimension of 1: (n, 10) for ten classes.

    Float inputs are quantized where the model takes integers, and integer outputs are then dequantized. Raises
    DataError, RunError and as `compile`.
    """
    from . import arrays, boards, models, prepare, runners

    found = boards.load(board)
    graph = load(model)
    ports = models.ports(graph)
    batch = arrays.batch(_named(inputs), ports[0], "inputs")
    with prepare.prepared(_path(model), found, graph) as firmware:
        values = runners.run(firmware, batch.arrays, timeout=timeout).outputs
    if batch.floats:
        values = [arrays.dequantize(value, port) for value, port in zip(values, ports[1], strict=True)]
    return {port.name: arrays.rows(value, port) for port, value in zip(ports[1], values, strict=True)}


def evaluate(
    model: Model,
    board: str | os.PathLike[str],
    inputs: Mapping[str, Array] | Array,
    labels: Array,
    timeout: float = 600.0,
) -> Accuracy:
    """Top-1 accuracy of a quantized classifier on a board. `labels`: integers [n], the class of each input.

    `timeout` is for each portion of judge.PORTION inferences. Raises DataError for labels that do not fit,
    UnsupportedError for what is no classifier, and as `run`.
    """
    from . import arrays, boards, models
    from .judge import Data, classes, judge

    found = boards.load(board)
    graph = load(model)
    batch = arrays.batch(_named(inputs), models.ports(graph)[0], "inputs")
    checked = arrays.labels(labels, len(batch), classes(graph), "labels")
    data = Data("inputs", _named(inputs), checked)
    judged = judge(graph, found, data, folder=_path(model), timeout=timeout)
    assert judged.accuracy is not None
    return judged.accuracy


def measure(
    model: Model,
    board: str | os.PathLike[str],
    inputs: Mapping[str, Array] | Array | None = None,
    timeout: float = 600.0,
    qemu_args: Sequence[str] = (),
) -> Report:
    """`intaglio profile`: instructions, memory, and whether every byte equals the reference (of a float model: by what
    it differs). (`intaglio.profile` is a module.) Without inputs, seeded random ones are taken. Raises as `run`.
    """
    from . import arrays, boards, interpret, models, pipeline, prepare, profile
    from .graph import computes_in_float

    found = boards.load(board)
    graph = pipeline.executable(load(model))
    ports = models.ports(graph)[0]
    batch = (
        arrays.random_batch(ports, profile.RANDOM_INPUTS)
        if inputs is None
        else arrays.batch(_named(inputs), ports, "inputs")
    )
    with prepare.prepared(_path(model), found, graph) as firmware:
        want = interpret.run(graph, batch.arrays)
        exact = not computes_in_float(graph)
        return profile.profile(firmware, batch.arrays, want, exact=exact, timeout=timeout, qemu_args=qemu_args)


def export(
    model: Model,
    tflite: str | os.PathLike[str],
    *,
    lossless: bool = False,
    runtimes: Sequence[Literal["tflm", "litert"]] = ("tflm", "litert"),
) -> tuple[str, ...]:
    """Write a model as a .tflite that each of `runtimes` runs with the bytes of the C (floats: but for rounding), with
    `lossless` less what no output byte depends on. Returns what was written otherwise than it is, a sentence a layer.

    Raises UnsupportedError naming the runtime for what it lacks, DataError for `lossless` with a float model or another
    runtime, OutputError.
    """
    from pathlib import Path

    from . import compiled_folder, files
    from .emit.tflite import write
    from .errors import DataError
    from .lower.portable import portable
    from .ops.portable import RUNTIMES

    if not runtimes or not set(runtimes) <= set(RUNTIMES):
        raise DataError("runtimes", f"are {', '.join(map(repr, runtimes)) or 'none'}", ", ".join(RUNTIMES))
    graph = load(model)
    made, notes = portable(compiled_folder.losslessly_reduced(graph, borders=False) if lossless else graph, runtimes)
    files.write_file(Path(tflite), write(made))
    return notes


def _named(inputs: Mapping[str, Array] | Array) -> Mapping[str, Array]:
    """A single array goes under the name that stands for the only input."""
    return inputs if isinstance(inputs, Mapping) else {"x": inputs}


def _path(model: Model) -> Path | None:
    from pathlib import Path

    return Path(model) if isinstance(model, str | os.PathLike) else None
