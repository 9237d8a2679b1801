"""Whether a firmware fits the regions of a board's memory."""

from __future__ import annotations

from collections.abc import Iterator

from ..boards import Board
from ..errors import FitError
from ..manifest import Manifest
from ..regions import Memory, Region
from .elf import Sizes


def check_fit(manifest: Manifest, board: Board) -> None:
    """Refuse, before anything is compiled, a model whose weights or buffers alone exceed the board.

    Raises FitError with a table of what it needs and what there is.
    """
    check(manifest, board, None)


def check(manifest: Manifest, board: Board, sizes: Sizes | None) -> None:
    """The same of the linked image, when `sizes` are its. Raises FitError."""
    memory = board.memory
    if memory is None:
        return
    exact = dict(sizes.regions) if sizes else {}
    needs = {r.name: exact.get(r.name, sum(n for _, n in _known(manifest, memory, r))) for r in memory.regions}
    over = [region for region in memory.regions if needs[region.name] > region.bytes]
    if not over:
        return
    rows = [("", "needs", "has")]
    for region in memory.regions:
        need = needs[region.name]
        rows.append((region.name, f"{'' if sizes else 'at least '}{need:,}", f"{region.bytes:,}"))
        rows += [(f"  {name}", f"{count:,}", "") for name, count in _parts(manifest, memory, region, need, sizes)]
    table = "\n".join(f"  {name:<28}{needs:>20}{has:>14}".rstrip() for name, needs, has in rows)
    if manifest.peak and memory.of("arena") in over:
        table += f"\n  The arena is fullest at {manifest.peak}"
    found = f"{manifest.model} does not fit in {' or '.join(region.name for region in over)} (bytes):\n{table}"
    raise FitError(f"board {board.name}", found, "", "Take a board with more memory, or a smaller model")


def _known(manifest: Manifest, memory: Memory, region: Region) -> list[tuple[str, int]]:
    """What is in a region by the manifest alone."""
    sizes = (
        ("weights", "weights and biases", manifest.weight_bytes),
        ("arena", "arena", manifest.arena_bytes),
        ("data", "input and output buffers", manifest.input_bytes + manifest.output_bytes),
        ("stack", "stack reserve", memory.stack_bytes),
    )
    return [(name, count) for content, name, count in sizes if content in region.holds]


def _parts(
    manifest: Manifest, memory: Memory, region: Region, need: int, sizes: Sizes | None
) -> Iterator[tuple[str, int]]:
    """The rows under a region; with `sizes` they add up to what it needs."""
    rest = need
    for name, count in _known(manifest, memory, region):
        rest -= count
        yield name, count
        if name == "arena" and manifest.state_bytes:
            yield "  of which state", manifest.state_bytes
    other = {"code": "code and tables", "weights": "tables", "data": "other variables"}
    name = next((other[content] for content in ("code", "weights", "data") if content in region.holds), "")
    if sizes and name and (rest or name != "tables"):
        yield name, rest
