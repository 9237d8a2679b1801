"""The stages in order: load -> quantize -> lower -> select -> plan -> emit. The file to read first.

Each stage is a function from Graph to Graph; `verify` runs after it. Building and running what comes out is in
build.py and runners/.
"""

from __future__ import annotations

from pathlib import Path

from . import boards, graph_file, targets
from .boards import Board
from .dead_code import dead_code
from .emit.c import emit
from .errors import DataError, ModelError
from .executable import require_executable
from .floats.simplify import simplify
from .graph import Graph, Preference, float_model, verify
from .lower.fold_constants import fold_constants
from .lower.outputs import own_outputs
from .plan.memory import plan
from .select.select import select
from .targets import Target

STATE_DICTS = (".pt", ".pth")
ModuleOf = tuple[str, str]
"""Of a state dict: `package.module:Class`, and the shapes of its inputs; see frontends/torch_state.py."""


def load(path: Path | str, module: ModuleOf | None = None) -> Graph:
    """A model file -> Graph; `module` says what the weights of a .pt file belong to. Raises ModelError for what is not
    a model, UnsupportedError for what intaglio lacks."""
    from .frontends import tflite

    return tflite.checked(read(path, module), str(path))


def read(path: Path | str, module: ModuleOf | None = None) -> Graph:
    """Like `load`, but what is unsupported in a .tflite or .onnx becomes an `Unsupported` operator, for `inspect`."""
    suffix = Path(path).suffix.lower()
    if module is not None and suffix not in STATE_DICTS:
        raise DataError("--module", f"is given with {path}", "a state dict: .pt or .pth")
    if suffix == ".onnx":
        from .frontends import onnx

        return onnx.read(path)
    if suffix == ".pt2":
        from .frontends import torch_pt2

        return torch_pt2.load(path)
    if suffix == graph_file.SUFFIX:
        return graph_file.load(path)
    if suffix in STATE_DICTS:
        from .frontends import torch_state

        if module is None:
            remedy = "Give --module package.module:Class and --example 1,3,32,32; or use torch.export.save, a .pt2"
            raise ModelError(str(path), "holds weights, and not what is computed with them", "", remedy)
        return torch_state.load(path, *module)
    if suffix != ".tflite":
        allowed = ".tflite, .onnx, .pt2, .itg, or .pt with its module"
        raise ModelError(str(path), f"has the extension {suffix!r}" if suffix else "has no extension", allowed)
    from .frontends import tflite

    return tflite.read(path)


def executable(graph: Graph) -> Graph:
    """A Graph as the reference and the C execute it: a float model simplified (batch norms folded, activations fused),
    a quantized one as it is."""
    return simplify(graph) if float_model(graph) else graph


def lower(graph: Graph) -> Graph:
    """A quantized or float Graph -> what of it is computed on the device, before a kernel is chosen for anything."""
    graph = require_executable(executable(graph))
    verify(graph, "quantized")
    for pass_ in (dead_code, fold_constants, own_outputs):
        graph = verify(pass_(graph), "quantized")
    return graph


def selected(graph: Graph, target: Target | str, weights: Preference = "dense") -> Graph:
    """A quantized or float Graph -> a lowered one, each node with the C calls of its kernel on a target or the one of
    that name.

    `weights` says what the way in which flash holds them is to be good for: see select/weights.py.
    """
    target = targets.load(target) if isinstance(target, str) else target
    return verify(select(lower(graph), target, weights), "selected")


def compile_graph(
    graph: Graph, board: Board | str, weights: Preference = "dense", target: Target | None = None
) -> dict[str, bytes]:
    """A quantized or float Graph -> the files of a folder of C (see emit/c.py), for a board or the name of one.

    `target`: another than the board's own, such as one with other kernels.
    """
    board = boards.load(board) if isinstance(board, str) else board
    chosen = selected(graph, target or board.load_target(), weights)
    return emit(verify(plan(chosen), "planned"), board.name)
