"""The bits of each layer's weights from a budget: a size, or a loss of accuracy. The search of `intaglio quantize`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from . import boards, files
from .graph import Graph
from .judge import Data, float_accuracy, judge
from .progress import Say
from .quantize.mixed import Choice, smallest, within_bytes

Made = Callable[[dict[str, int]], Graph]
"""Quantizes with bits by layer."""


def bits_within_bytes(choices: Sequence[Choice], weight_bytes: int) -> dict[str, int]:
    """The bits that lose least in so many bytes of weights. Raises DataError when they are too few."""
    return dict(within_bytes(choices, weight_bytes).bits)


def bits_within_drop(
    choices: Sequence[Choice], max_drop: float, test: Path, graph: Graph, made: Made, say: Say
) -> dict[str, int]:
    """The bits with the fewest bytes with which top-1 over `test` falls by no more than `max_drop` points.

    Raises DataError when 8 bits lose more already, or for data that does not fit, UnsupportedError for no classifier.
    """
    floats = Data.read(test, graph)
    least = float_accuracy(graph, floats, say).top1 - max_drop / 100
    host, cache = boards.load("host"), files.cache_folder() / "judged"

    def top1(choice: Choice) -> float:
        def tell(text: str, done: float = 0, total: float | None = None) -> None:
            say(f"evaluating {choice.weight_bytes:,} bytes of weights", done, total)

        found = judge(made(dict(choice.bits)), host, floats, cache=cache, say=tell).accuracy
        assert found is not None
        return found.top1

    # Accuracies are quotients of whole numbers: the least of them is not missed for a rounding error.
    return dict(smallest(choices, top1, least - 1e-9)[0].bits)
