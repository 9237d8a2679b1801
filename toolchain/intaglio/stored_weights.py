"""What each way to store the weights of each layer takes, and which is chosen: `intaglio inspect --encodings`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import targets
from .columns import COMPUTED, ESTIMATED, Column
from .graph import Graph, float_model, layer_name
from .kernels import costs
from .kernels.costs import CORE, counted_on
from .pipeline import lower
from .select.weights import PREFERENCES, best, options, ram_bytes


@dataclass(frozen=True)
class Way:
    """One encoding of a layer's weights; see select/weights.py."""

    encoding: str
    flash_bytes: int
    """Weights and tables, without the kernel's code."""
    code_bytes: int
    """The kernels' code, which all layers with this encoding share."""
    ram_bytes: int
    """By how much the arena grows."""
    instructions_estimated: int
    """Of an inference."""
    kernels: tuple[str, ...]
    chosen: tuple[str, ...]
    """The preferences under which it is."""


@dataclass(frozen=True)
class StoredWeights:
    """The weights of one or more layers (equal ones are stored once)."""

    name: str
    encoding: str
    """As the graph has it."""
    ways: tuple[Way, ...]

    @property
    def taken(self) -> Way | None:
        """The way that a compilation takes: of several kernels for the graph's encoding the first."""
        return next((way for way in self.ways if way.encoding == self.encoding), None)


ENCODINGS = (
    Column(
        "name", "layer", show=str, side="left", value=lambda row, _: row[0].name if row[1] is row[0].ways[0] else ""
    ),
    Column("encoding", "encoding", show=str, side="name", value=lambda row, _: _told_apart(*row)),
    Column("flash_bytes", "flash", COMPUTED, "bytes", value=lambda row, _: row[1].flash_bytes),
    Column("code_bytes", "code, shared", COMPUTED, "bytes", value=lambda row, _: row[1].code_bytes),
    Column("instructions_estimated", "instructions", ESTIMATED, value=lambda row, _: row[1].instructions_estimated),
    Column("ram_bytes", "more RAM", COMPUTED, "bytes", value=lambda row, _: row[1].ram_bytes),
    Column("chosen", "for", show=", ".join, side="left", value=lambda row, _: row[1].chosen),
)
"""Of each way to store each layer's weights: rows of `ways`."""


def _told_apart(layer: StoredWeights, way: Way) -> str:
    """The encoding; with its kernels where the layer has several for it."""
    several = sum(other.encoding == way.encoding for other in layer.ways) > 1
    return f"{way.encoding} ({', '.join(way.kernels)})" if several else way.encoding


def ways(stored: Sequence[StoredWeights]) -> list[tuple[StoredWeights, Way]]:
    """A row for each way of each layer."""
    return [(layer, way) for layer in stored for way in layer.ways]


def estimated_for(core: str) -> str:
    """Which core's instructions are estimated for `core`, as people call it."""
    return counted_on(core).replace("cortex-m", "Cortex-M").replace("plus", "+")


def stored_weights(graph: Graph, core: str = CORE) -> list[StoredWeights]:
    """Every layer that has a choice; none in a float model. Raises UnsupportedError as compiling does."""
    if float_model(graph):
        return []
    graph, target = lower(graph), targets.load(core)
    layers, ram = options(graph, target), ram_bytes(graph, target)
    code = {kernel: int(cost["code"]) for kernel, cost in costs(core).items()}
    chosen = {preference: best(layers, preference, ram, core) for preference in PREFERENCES}
    return [
        StoredWeights(
            ", ".join(map(layer_name, layer.nodes)),
            graph.tensors[layer.tensors[0]].encoding or "dense",
            tuple(
                Way(
                    o.encoding or "dense", o.flash_bytes, sum(code[k] for k in o.kernels), o.ram_bytes, o.instructions,
                    tuple(sorted(o.kernels)),
                    tuple(name for name in PREFERENCES if chosen[name][i] is o),
                )
                for o in layer.options
            ),
        )
        for i, layer in enumerate(layers)
    ]  # fmt: skip
