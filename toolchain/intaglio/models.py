"""Models as a person names them: a file in any format, or a compiled folder; quantized on the way in if that is asked
for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import pipeline
from .arrays import load as load_arrays
from .compiled_folder import MODEL, is_compiled, model_in
from .errors import DataError
from .graph import Array, Graph, float_model
from .manifest import Manifest, Port, port_of
from .pipeline import ModuleOf
from .progress import Say, quiet
from .quantize.methods import Method
from .quantize.scales import ActivationBits
from .quantize.weights import WeightBits


@dataclass(frozen=True)
class Quantization:
    """How a float model is quantized on the way in: see quantize/post_training.py."""

    calibration: Path
    """An .npz with representative inputs."""
    method: Method | None = None
    keep_float: tuple[str, ...] = ()
    weight_bits: WeightBits = 8
    activation_bits: ActivationBits = 8


def opened(path: Path, how: Quantization | None = None, say: Say = quiet, module: ModuleOf | None = None) -> Graph:
    """The graph of a model file or of a compiled folder: quantized if it is said how, else as it is executed.

    `module` says what the weights of a .pt file belong to. Raises ModelError, UnsupportedError, and DataError for
    calibration data that does not fit or an unknown layer.
    """
    say("reading the model")
    graph = model_in(path) if is_compiled(path) else pipeline.load(path, module)
    return pipeline.executable(graph) if how is None else quantized(graph, how, say)


def shown(path: Path, module: ModuleOf | None = None) -> Graph:
    """A graph to look at, unsupported operators included. Raises ModelError, and as the front end does."""
    if is_compiled(path):
        return model_in(path)
    return pipeline.read(path, module)


def reference(
    path: Path, how: Quantization | None = None, say: Say = quiet, module: ModuleOf | None = None
) -> Graph | None:
    """What a compiled folder or a model file means: None for a folder without the model. Raises as `opened` does."""
    if is_compiled(path) and not (path / MODEL).is_file() and how is None:
        return None
    return opened(path, how, say, module)


def quantized(graph: Graph, how: Quantization, say: Say = quiet) -> Graph:
    """A float graph with ranges from the arrays of an .npz file. Raises DataError for a model that is not float."""
    where = str(how.calibration)
    if not float_model(graph):
        raise DataError("--calibrate", f"the model {graph.name} is quantized already", "a float model")
    from .quantize.post_training import post_training

    say("calibrating")
    arrays = calibration_data(graph, how.calibration)
    return post_training(
        graph, arrays, how.method, source=where, keep_float=how.keep_float, weight_bits=how.weight_bits,
        activation_bits=how.activation_bits,
    )  # fmt: skip


def calibration_data(graph: Graph, path: Path) -> dict[str, Array]:
    """The arrays of an .npz file for the graph's inputs, by name. Raises DataError."""
    # Not left to `calibrate`: the reader in arrays.py does not believe what a file claims about its size.
    return load_arrays(path, ports(graph)[0])


def ports(graph: Graph) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """A graph's inputs and outputs as the manifest describes them."""
    inputs, outputs = ([port_of(graph.tensors[n]) for n in names] for names in (graph.inputs, graph.outputs))
    return tuple(inputs), tuple(outputs)


def ports_of(path: Path, graph: Graph | None) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Inputs and outputs of a compiled folder, or of the graph of a model file."""
    if graph is None:
        manifest = Manifest.read(path)
        return manifest.inputs, manifest.outputs
    return ports(graph)
