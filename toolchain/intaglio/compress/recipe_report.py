"""The report of a recipe: accuracy and size after each step, as JSON, as Markdown and as a page with a picture.

It holds no time and no path of this computer: the same run gives the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..boards import Board
from ..escape import for_html, for_markdown
from ..stored_weights import StoredWeights, estimated_for
from .recipe import Recipe
from .recipe_measure import Measured

REPORTS = ("report.md", "report.html", "report.json")
"""The last one says that the run is finished."""
Row = tuple[str, Measured]
WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 24, 56
"""Margins of the picture."""
LABEL = 15
"""Pixels between two labels."""


def report(
    name: str, recipe: Recipe, rows: Sequence[Row], files: Sequence[str], no_tflite: str,
    stored: Sequence[StoredWeights], board: Board,
) -> dict[str, bytes]:  # fmt: skip
    """The files of the report by name.

    Args:
        name: the model's.
        rows: what was done and what was measured then, the model as it was given first.
        files: the models that lie beside.
        no_tflite: why there is no .tflite, if so.
        stored: what each way to store the weights of each layer takes.
        board: what images were linked for.
    """
    steps = [{"step": k, "do": do, **found.to_dict()} for k, (do, found) in enumerate(rows)]
    data = {
        "model": name, "board": board.name, "recipe": recipe.to_dict(), "steps": steps,
        "encodings": [asdict(layer) for layer in stored], "files": list(files),
    }  # fmt: skip
    notes, key = _notes(rows, no_tflite, board), ENCODINGS_NOTE.format(core=estimated_for(board.target))
    made = (
        _markdown(name, rows, notes, stored, key),
        _page(name, rows, notes, stored, key),
        json.dumps(data, indent=1) + "\n",
    )
    return {file: text.encode() for file, text in zip(REPORTS, made, strict=True)}


def cells(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The table: headings, and a row a step. What was not measured in any step has no column."""
    headings = ["", "step", "accuracy", "loss", "flash", "weights in flash", "MACs", "weights", "zeros"]
    body = []
    for k, (do, m) in enumerate(rows):
        right = "" if m.accuracy is None else f"{m.accuracy:.2%}"
        loss = "" if m.loss is None else f"{m.loss:.4f}"
        flash = "" if m.flash_bytes is None else f"{m.flash_bytes:,}"
        sizes = [flash, *(f"{n:,}" for n in (m.weight_bytes, m.macs, m.weights))]
        body.append([str(k), do, right, loss, *sizes, f"{m.zeros:.1%}"])
    used = [c for c in range(len(headings)) if any(row[c] for row in body)]
    return tuple(headings[c] for c in used), [tuple(row[c] for c in used) for row in body]


ENCODINGS = "What each encoding takes"
ENCODING_HEADINGS = ("layer", "encoding", "flash", "instructions (estimated)", "more RAM", "for")
ENCODINGS_NOTE = (
    "Flash: bytes of weights and tables, without the decoder's code, which all layers share. Instructions: of an "
    "inference on the {core}, estimated. More RAM: by how much the arena grows. For: the preferences that choose it. "
    "In bold: what the model has."
)


def encoding_cells(stored: Sequence[StoredWeights]) -> list[tuple[bool, tuple[str, ...]]]:
    """A row for each way to store each layer's weights: whether the model has it, and what it takes."""
    return [
        (
            way.encoding == layer.encoding,
            (
                layer.name if k == 0 else "", way.encoding, f"{way.flash_bytes:,}", f"{way.instructions_estimated:,}",
                f"{way.ram_bytes:,}", ", ".join(way.chosen),
            ),
        )
        for layer in stored
        for k, way in enumerate(layer.ways)
    ]  # fmt: skip


def summary(rows: Sequence[Row]) -> str:
    """What came of it, in a sentence."""
    first, last = rows[0][1], rows[-1][1]
    size = f"{last.weight_bytes:,} bytes of weights instead of {first.weight_bytes:,}"
    if 0 < last.weight_bytes <= first.weight_bytes:
        size += f" ({first.weight_bytes / last.weight_bytes:.1f} times smaller)"
    if first.flash_bytes is not None and last.flash_bytes is not None:
        size += f", {last.flash_bytes:,} bytes of flash instead of {first.flash_bytes:,}"
    if first.accuracy is not None and last.accuracy is not None:
        size += f"; accuracy {last.accuracy:.2%} instead of {first.accuracy:.2%}"
    return size + "."


def _notes(rows: Sequence[Row], no_tflite: str, board: Board) -> list[str]:
    notes = [
        f"Flash: the image linked for {board.name}, weights, code and tables, in bytes. Until the step that quantizes, "
        "the model is stored dense, in float32."
    ]
    notes += [f"Step {k} ({do}) has no image: {m.unbuilt}." for k, (do, m) in enumerate(rows) if m.unbuilt]
    return notes + ([f"There is no .tflite: {no_tflite}."] if no_tflite else [])


def _markdown(name: str, rows: Sequence[Row], notes: Sequence[str], stored: Sequence[StoredWeights], key: str) -> str:
    headings, body = cells(rows)
    lines = ["| " + " | ".join(headings) + " |", "|---:|---|" + "---:|" * (len(headings) - 2)]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    table = "\n".join(lines)
    said = "\n\n".join(map(for_markdown, notes))
    text = f"# {for_markdown(name)}, compressed\n\n{summary(rows)}\n\n{table}\n\n{said}\n"
    if not stored:
        return text
    lines = ["| " + " | ".join(ENCODING_HEADINGS) + " |", "|---|---|---:|---:|---:|---|"]
    for has, (layer, encoding, *numbers) in encoding_cells(stored):
        named = f"**{encoding}**" if has else encoding
        lines.append("| " + " | ".join([for_markdown(layer), named, *numbers]) + " |")
    table = "\n".join(lines)
    return f"{text}\n## {ENCODINGS}\n\n{table}\n\n{key}\n"


# ---- the page -----------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --faint: #59636e; --rule: #d1d9e0; --mark: #0a58ca; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #e6edf3; --faint: #9aa7b4; --rule: #3a434d; --mark: #6cb0ff; }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 760px; padding: 0 1rem; }
svg { display: block; width: 100%; height: auto; margin: 1.5rem 0; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); stroke: var(--paper); stroke-width: 3; paint-order: stroke; }
svg .faint { fill: var(--faint); }
svg .rule { stroke: var(--rule); } svg .path { fill: none; stroke: var(--mark); stroke-width: 1.5; }
svg .lead { stroke: var(--faint); stroke-width: 0.75; }
svg circle { fill: var(--mark); stroke: var(--paper); stroke-width: 1.5; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: 0.25rem 0.6rem; text-align: right; border-bottom: 1px solid var(--rule); }
th { color: var(--faint); font-weight: 600; } th:nth-child(2), td:nth-child(2) { text-align: left; }
table.encodings :is(th, td):is(:nth-child(1), :nth-child(6)) { text-align: left; } tr.chosen { font-weight: 600; }
p.note { color: var(--faint); font-size: 13px; }
"""


def _page(name: str, rows: Sequence[Row], notes: Sequence[str], stored: Sequence[StoredWeights], key: str) -> str:
    headings, body = cells(rows)
    head = "".join(f"<th>{for_html(h)}</th>" for h in headings)
    lines = "\n".join("<tr>" + "".join(f"<td>{for_html(c)}</td>" for c in row) + "</tr>" for row in body)
    title = for_html(f"{name}, compressed")
    said = "\n".join(f'<p class="note">{for_html(n)}</p>' for n in notes)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{for_html(summary(rows))}</p>
{_picture(rows)}
<div><table>
<thead><tr>{head}</tr></thead>
<tbody>
{lines}
</tbody>
</table></div>
{said}
{_encodings(stored, key)}
</body>
</html>
"""


def _encodings(stored: Sequence[StoredWeights], key: str) -> str:
    """The table of encodings, as HTML; nothing for a model without a choice."""
    if not stored:
        return ""
    head = "".join(f"<th>{h}</th>" for h in ENCODING_HEADINGS)
    lines = [
        f"<tr{' class=chosen' if has else ''}>" + "".join(f"<td>{for_html(c)}</td>" for c in row) + "</tr>"
        for has, row in encoding_cells(stored)
    ]
    body = "\n".join(lines)
    return f"""<h2>{ENCODINGS}</h2>
<div><table class="encodings">
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
<p class="note">{for_html(key)}</p>"""


def _picture(rows: Sequence[Row]) -> str:
    """Accuracy (or loss) over bytes, as SVG; nothing where there is neither."""
    linked = all(m.flash_bytes is not None for _, m in rows)
    sizes = [float((m.flash_bytes if linked else m.weight_bytes) or 1) for _, m in rows]
    judged = [m.accuracy if m.accuracy is not None else m.loss for _, m in rows]
    values = [v for v in judged if v is not None and math.isfinite(v)]
    if len(values) != len(rows):
        return ""
    share = rows[0][1].accuracy is not None
    low, high = _bounds(values, share)
    least, most = math.log(min(sizes) / 1.25), math.log(max(sizes) * 1.25)

    def x(size: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log(size) - least) / (most - least)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    judged_by = "accuracy" if share else "loss"
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{judged_by} over bytes">']
    for tick in _ticks(low, high):
        at, said = y(tick), f"{tick:.4g}" if not share else f"{100 * tick:.4g} %"
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="faint" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{said}</text>')
    for size in _decades(math.exp(least), math.exp(most)):
        at, low_at = x(size), HEIGHT - BOTTOM
        parts.append(f'<line class="rule" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{low_at}"/>')
        parts.append(f'<text class="faint" x="{at:.1f}" y="{low_at + 18}" text-anchor="middle">{_bytes(size)}</text>')
    what = "flash (weights, code and tables)" if linked else "weights in flash"
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="faint" x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">{what}</text>')
    parts.append(f'<text class="faint" x="{LEFT - 8}" y="{TOP - 8}" text-anchor="end">{judged_by}</text>')
    points = [(x(s), y(v)) for s, v in zip(sizes, values, strict=True)]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    parts.append(f'<polyline class="path" points="{line}"/>')
    parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4.5"/>' for a, b in points]
    for (a, b), at, (k, (do, _)) in zip(points, _label_places(points), enumerate(rows), strict=True):
        side = "end" if a > (LEFT + WIDTH - RIGHT) / 2 else "start"
        by = -10 if side == "end" else 10
        if abs(at - b) > 4:
            parts.append(f'<line class="lead" x1="{a:.1f}" y1="{b:.1f}" x2="{a + by:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{a + by * 1.2:.1f}" y="{at + 4:.1f}" text-anchor="{side}">{k} {for_html(do)}</text>')
    return "\n".join([*parts, "</svg>"])


def _bounds(values: Sequence[float], share: bool) -> tuple[float, float]:
    """What the axis spans: a little more than the values."""
    low, high = min(values), max(values)
    room = max(0.25 * (high - low), 0.005 if share else 1e-3 * max(abs(high), 1e-6))
    return (max(low - room, 0.0), min(high + room, 1.0)) if share else (low - room, high + room)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers."""
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(s * unit for s in (1, 2, 5, 10) if s * unit >= rough)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Round sizes: 1, 2 and 5 times powers of ten, fewer where that would be many."""
    digits = (1, 2, 5) if high / low < 300 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [d * 10.0**p for p in powers for d in digits if low <= d * 10.0**p <= high]


def _bytes(size: float) -> str:
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:g} {unit}"
    return f"{size:g} B"


def _label_places(points: Sequence[tuple[float, float]]) -> list[float]:
    """The height of each label: beside its point, or as near as those before it leave room for."""
    placed: list[tuple[float, float]] = []
    for x, y in points:
        tries = sorted((y + k * LABEL for k in range(-30, 31)), key=lambda at: abs(at - y))
        inside = [at for at in tries if TOP <= at <= HEIGHT - BOTTOM]
        free = [at for at in inside if all(abs(at - b) >= LABEL or abs(x - a) > 140 for a, b in placed)]
        placed.append((x, (free or inside or [y])[0]))
    return [at for _, at in placed]


def to_rows(steps: Sequence[Any]) -> list[Row]:
    """Of the results of a run."""
    return [(s.do, s.measured) for s in steps]
