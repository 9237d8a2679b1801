"""`intaglio quantize` with a budget: the bits of each layer's weights, from a size or from a loss of accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..graph import Graph
    from ..package import Say
    from ..quantize.mixed import Choice


def require_alone(
    weight_bits: list[str] | None, activation_bits: str, weight_bytes: int | None, max_drop: float | None,
    test: Path | None,
) -> None:  # fmt: skip
    """Raises DataError for a budget beside options that it excludes, or without the data that it needs."""
    from ..errors import DataError

    option = "--weight-bytes" if weight_bytes is not None else "--max-drop"
    if weight_bits:
        raise DataError(option, "is given with --weight-bits", "", "It chooses the bits itself")
    if activation_bits != "8":
        raise DataError(option, "is given with --activation-bits 16", "8", "Weights of few bits need int8 activations")
    if weight_bytes is not None and max_drop is not None:
        raise DataError("--weight-bytes", "is given with --max-drop", "", "One budget at a time")
    if (max_drop is None) != (test is None):
        missing = "--test" if test is None else "--max-drop"
        raise DataError(missing, "is missing", "", "--max-drop POINTS is judged on --test T.npz, inputs and labels y")


def bits_within(
    choices: Sequence[Choice], weight_bytes: int | None, max_drop: float | None, test: Path | None, graph: Graph,
    made: Callable[[dict[str, int]], Graph], say: Say,
) -> dict[str, int]:  # fmt: skip
    """Bits by layer. `made` quantizes with such bits. Raises DataError when the budget cannot be met."""
    from .. import accuracy, arrays, boards, package
    from ..quantize.mixed import smallest, within_bytes

    if weight_bytes is not None:
        return dict(within_bytes(choices, weight_bytes).bits)
    assert max_drop is not None and test is not None
    inputs, outputs = package.ports(graph)
    classes = accuracy.classes_of(graph.name, outputs, len(graph.states()))
    floats = arrays.batch(arrays.load(test, inputs), inputs, str(test))
    labels = arrays.load_labels(test, len(floats), classes)
    each = lambda done: say("evaluating the floats", done, len(labels))  # noqa: E731
    least = accuracy.of_floats(graph, floats.arrays, labels, each).top1 - max_drop / 100
    host = boards.load("host")

    def top1(choice: Choice) -> float:
        quantized = made(dict(choice.bits))
        ports = package.ports(quantized)[0]
        batch = arrays.batch(arrays.load(test, ports), ports, str(test))
        each = lambda done: say(f"evaluating {choice.weight_bytes:,} bytes of weights", done, len(labels))  # noqa: E731
        with package.prepared(None, host, quantized) as firmware:
            return accuracy.on_board(firmware, batch.arrays, labels, 600.0, each).top1

    # Accuracies are quotients of whole numbers: the least of them is not missed for a rounding error.
    return dict(smallest(choices, top1, least - 1e-9)[0].bits)
