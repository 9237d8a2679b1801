"""The stages in order: load -> quantize -> lower -> plan -> emit. The file to read first.

Each stage is a function from Graph to Graph; `verify` runs after it. Building and running what comes out is in
build.py and runners/.
"""

from __future__ import annotations

from pathlib import Path

from .emit.c import emit
from .errors import ModelError
from .graph import Graph, float_model, verify
from .lower.calls import attach_calls, require_executable
from .lower.dead_code import dead_code
from .lower.fold_constants import fold_constants
from .lower.outputs import own_outputs
from .plan.memory import plan
from .quantize.simplify import simplify


def load(path: Path | str) -> Graph:
    """A model file -> Graph. Raises ModelError for what is not a model, UnsupportedError for what intaglio lacks."""
    from .frontends import tflite

    return tflite.checked(read(path), str(path))


def read(path: Path | str) -> Graph:
    """Like `load`, but what is unsupported becomes an `Unsupported` operator, for `inspect`."""
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        from .frontends import onnx

        return onnx.read(path)
    if suffix != ".tflite":
        allowed = ".tflite or .onnx"
        raise ModelError(str(path), f"has the extension {suffix!r}" if suffix else "has no extension", allowed)
    from .frontends import tflite

    return tflite.read(path)


def executable(graph: Graph) -> Graph:
    """A Graph as the reference and the C execute it: a float model simplified (batch norms folded, activations fused),
    a quantized one as it is."""
    return simplify(graph) if float_model(graph) else graph


def lower(graph: Graph) -> Graph:
    """A quantized or float Graph -> a lowered one: simplified, each node with its C calls."""
    graph = require_executable(executable(graph))
    verify(graph, "quantized")
    for pass_ in (dead_code, fold_constants, own_outputs):
        graph = verify(pass_(graph), "quantized")
    return verify(attach_calls(graph), "lowered")


def compile_graph(graph: Graph, board: str, kernel_folders: tuple[str, ...] = ("c",)) -> dict[str, bytes]:
    """A quantized or float Graph -> the files of a folder of C (see emit/c.py)."""
    return emit(verify(plan(lower(graph)), "planned"), board, kernel_folders)
