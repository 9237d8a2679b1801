"""Which layer's result is the first to differ between the NumPy reference and the C on a board."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import boards, build, compiled_folder, interpret, runners
from .boards import Board
from .errors import FitError
from .graph import Array, Graph, layer_name

MAX_INPUTS = 16
"""Inputs that are looked at: all results of all layers are kept."""


def explain(graph: Graph, board: Board, inputs: Sequence[Array], got: Sequence[Array], want: Sequence[Array]) -> str:
    """One sentence on the first output element that differs, and one on the layer that is to blame."""
    return f"{first_element(got, want, graph.outputs)}. {first_layer(graph, board, inputs)}"


def first_element(got: Sequence[Array], want: Sequence[Array], names: Sequence[str]) -> str:
    """The first element of the outputs that differs, in the order of the inferences."""
    places: list[tuple[int, str]] = []
    for name, a, b in zip(names, got, want, strict=True):
        rows = len(b)
        flat_a, flat_b = a.reshape(rows, -1), b.reshape(rows, -1)
        differs = flat_a.view(np.uint8).reshape(rows, flat_b.shape[1], -1) != flat_b.view(np.uint8).reshape(
            rows, flat_b.shape[1], -1
        )
        where = np.argwhere(differs.any(2))
        if len(where):
            i, at = map(int, where[0])
            text = (
                f"output {name} of inference {i} differs first at element {at}: {flat_a[i, at]} on the board, "
                f"{flat_b[i, at]} in the reference ({len(where)} of {flat_b.size} elements differ)"
            )
            places.append((i, text))
    return min(places)[1] if places else "no output differs"


def first_layer(graph: Graph, board: Board, inputs: Sequence[Array]) -> str:
    """Build a model whose outputs are the results of all layers, and compare each; on the host if it does not fit.

    A difference that goes away then is not a layer's own.
    """
    results = list(dict.fromkeys(o for node in graph.nodes for o in node.outputs))
    whole = replace(graph, outputs=tuple(results), name=f"{graph.name}_all")
    few = [x[:MAX_INPUTS] for x in inputs]
    want = interpret.run(whole, few)
    where = board
    try:
        got = _outputs(whole, board, few)
    except FitError:
        where = boards.load("host")
        got = _outputs(whole, where, few)
    for node in graph.nodes:
        for name in node.outputs:
            k = results.index(name)
            if got[k].tobytes() != want[k].tobytes():
                return f"The first layer that differs is {layer_name(node.name)} ({node.op.name}), on {where.name}"
    return (
        f"No layer differs on {where.name} when the C is generated again with all results kept: the C was changed by "
        "hand, or a result is overwritten before it is read"
    )


def _outputs(graph: Graph, board: Board, inputs: Sequence[Array]) -> list[Array]:
    with tempfile.TemporaryDirectory(prefix="intaglio-") as name:
        folder = Path(name)
        manifest = compiled_folder.write(compiled_folder.contents(graph, board), folder)
        firmware = build.compile_firmware(folder, manifest, board)
        with runners.open(firmware) as session:
            return session.run(inputs)
