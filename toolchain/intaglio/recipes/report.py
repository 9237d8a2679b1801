"""The report of a recipe: accuracy and size after each step, as JSON, as Markdown and as a page with a picture.

It holds no path of this computer and no time but the day on which the run began: the same run gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..boards import Board
from ..columns import COMPUTED, FLASH, MACS, MEASURED, WEIGHTS, Cells, Column, cells, to_json
from ..escape import for_html, for_markdown
from ..stored_weights import ENCODINGS, StoredWeights, estimated_for, ways
from .measure import Measured
from .picture import picture
from .recipe import UNNAMED, Recipe

REPORTS = ("report.md", "report.html", "report.json")
"""The last one says that the run is finished."""
Row = tuple[str, Measured]


def report(
    name: str, recipe: Recipe, rows: Sequence[Row], files: Sequence[str], no_tflite: str,
    stored: Sequence[StoredWeights], board: Board, made: Mapping[str, str],
) -> dict[str, bytes]:  # fmt: skip
    """The files of the report by name.

    Args:
        name: the model's.
        rows: what was done and what was measured then, the model as it was given first.
        files: the models that lie beside.
        no_tflite: why there is no .tflite, if so.
        stored: what each way to store the weights of each layer takes.
        board: what images were linked for.
        made: with what, and when: names to text.
    """
    steps = [to_json(STEPS, row) for row in enumerate(rows)]
    data = {
        "model": name, "board": board.name, "made": dict(made), "recipe": recipe.to_dict(), "steps": steps,
        "encodings": [asdict(layer) for layer in stored], "files": list(files),
    }  # fmt: skip
    notes, key = _notes(rows, no_tflite, board), ENCODINGS_NOTE.format(core=estimated_for(board.target))
    named = {} if recipe.where == UNNAMED else {"recipe": Path(recipe.where).stem}
    begun = {**named, "board": board.name, **made}
    by = ", ".join(f"{what} {said}" for what, said in begun.items())
    texts = (
        _markdown(name, by, rows, notes, stored, key),
        _page(name, by, rows, notes, stored, key),
        json.dumps(data, indent=1) + "\n",
    )
    return {file: text.encode() for file, text in zip(REPORTS, texts, strict=True)}


def _measured(key: str) -> Callable[[Any, Any], Any]:
    """A figure of a row, which is (number, (what was done, Measured))."""
    return lambda row, _: getattr(row[1][1], key)


STEPS = (
    Column("step", "", show=str, value=lambda row, _: row[0]),
    Column("do", "step", show=str, side="name", value=lambda row, _: row[1][0]),
    Column("accuracy", "accuracy", MEASURED, show="{:.2%}".format, optional=True, value=_measured("accuracy")),
    Column("loss", "loss", MEASURED, show="{:.4f}".format, optional=True, value=_measured("loss")),
    replace(FLASH, optional=True, value=_measured("flash_bytes")),
    replace(WEIGHTS, key="weight_bytes", heading="weights in flash", value=_measured("weight_bytes")),
    replace(MACS, value=_measured("macs")),
    Column("weights", "weights", COMPUTED, value=_measured("weights")),
    Column("zeros", "zeros", COMPUTED, show="{:.1%}".format, value=_measured("zeros")),
    Column("unbuilt", "", table=False, value=_measured("unbuilt")),
)
"""Of each step. What was not measured in any has no column."""


def table(rows: Sequence[Row]) -> Cells:
    """The table: a row a step."""
    return cells(STEPS, list(enumerate(rows)))


ENCODINGS_TITLE = "What each encoding takes"
ENCODINGS_NOTE = (
    "In bold: what the model has. All layers are chosen together, and the code of a kernel counts once, however many "
    "layers share it: so a layer may take an encoding that is not its own smallest, because another layer has paid for "
    "the code. Flash: bytes of weights and tables. Instructions: of an inference on the {core}, estimated. More RAM: "
    "by how much the arena grows. For: the preferences (--weights) that choose it."
)
FELL = 0.02
"""A loss of accuracy that is said to be large."""


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


def fell(rows: Sequence[Row]) -> str:
    """What to say of a large loss of accuracy, and what to try; "" where there is none."""
    right = [m.accuracy for _, m in rows]
    known = [r for r in right if r is not None]
    if len(known) != len(rows) or known[0] - known[-1] < FELL:
        return ""
    worst = max(range(1, len(known)), key=lambda k: known[k - 1] - known[k])
    whole, most = 100 * (known[0] - known[-1]), 100 * (known[worst - 1] - known[worst])
    return (
        f"Accuracy fell by {whole:.1f} points, {most:.1f} of them at step {worst} ({rows[worst][0]}). Ask less of that "
        "step (a lower sparsity or ratio, more entries or bits), give it more epochs or more data, or let it learn "
        "from the model as it was (distil)."
    )


def _notes(rows: Sequence[Row], no_tflite: str, board: Board) -> list[str]:
    notes = [fell(rows)] * bool(fell(rows)) + [
        f"Flash: the image linked for {board.name}, weights, code and tables, in bytes. Until the step that quantizes, "
        "the model is stored dense, in float32."
    ]
    notes += [f"Step {k} ({do}) has no image: {m.unbuilt}." for k, (do, m) in enumerate(rows) if m.unbuilt]
    return notes + ([f"There is no .tflite: {no_tflite}."] if no_tflite else [])


def _markdown(
    name: str, by: str, rows: Sequence[Row], notes: Sequence[str], stored: Sequence[StoredWeights], key: str
) -> str:
    said = "\n\n".join(map(for_markdown, notes))
    parts = [f"# {for_markdown(name)}, compressed", for_markdown(by), summary(rows), table(rows).markdown(), said]
    text = "\n\n".join(parts) + "\n"
    if not stored:
        return text
    listed, found = ways(stored), cells(ENCODINGS, ways(stored))
    at = [column.key for column in found.columns]

    def written(cell: str, row: int, column: int) -> str:
        layer, way = listed[row]
        if at[column] == "encoding" and way is layer.taken:
            return f"**{cell}**"
        return for_markdown(cell) if at[column] == "name" else cell

    return f"{text}\n## {ENCODINGS_TITLE}\n\n{found.markdown(written)}\n\n{key}\n"


# ---- the page -----------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --faint: #59636e; --rule: #d1d9e0; --mark: #0a58ca; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #e6edf3; --faint: #9aa7b4; --rule: #3a434d; --mark: #6cb0ff; }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 760px; padding: 0 1rem; }
svg { display: block; width: 100%; max-width: 640px; height: auto; margin: 1.5rem 0; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); stroke: var(--paper); stroke-width: 3; paint-order: stroke; }
svg .faint { fill: var(--faint); }
svg .rule { stroke: var(--rule); } svg .path { fill: none; stroke: var(--mark); stroke-width: 1.5; }
svg .lead { stroke: var(--faint); stroke-width: 0.75; }
svg circle { fill: var(--mark); stroke: var(--paper); stroke-width: 1.5; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: 0.25rem 0.6rem; text-align: right; border-bottom: 1px solid var(--rule); }
th { color: var(--faint); font-weight: 600; } th:nth-child(2), td:nth-child(2) { text-align: left; }
table.encodings :is(th, td):is(:nth-child(1), :nth-child(7)) { text-align: left; } tr.chosen { font-weight: 600; }
p.note { color: var(--faint); font-size: 13px; }
@media (max-width: 640px) {
  table, tbody, tr, td { display: block; } thead { display: none; } table { white-space: normal; }
  tr { border-bottom: 1px solid var(--rule); padding: 0.5rem 0; } td:empty { display: none; }
  td, table.encodings td:is(:nth-child(1), :nth-child(7)) { border: 0; display: flex; justify-content: space-between;
    gap: 1rem; padding: 0.1rem 0; text-align: right; overflow-wrap: anywhere; }
  td::before { content: attr(data-of); color: var(--faint); font-weight: 400; white-space: nowrap; }
  td:empty { display: none; }
}
@media print { body { margin: 0; max-width: none; } tr, svg { break-inside: avoid; } }
"""


def _page(
    name: str, by: str, rows: Sequence[Row], notes: Sequence[str], stored: Sequence[StoredWeights], key: str
) -> str:
    found = table(rows)
    head = "".join(f"<th>{for_html(h)}</th>" for h in found.titles)
    lines = "\n".join(f"<tr>{_row(found.titles, row)}</tr>" for row in found.body)
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
<p class="note">{for_html(by)}</p>
<p>{for_html(summary(rows))}</p>
{picture(rows)}
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


def _row(headings: Sequence[str], row: Sequence[str]) -> str:
    """The cells of a row, each with its heading, which a narrow screen shows beside it."""
    pairs = zip(headings, row, strict=True)
    return "".join(f'<td data-of="{for_html(h)}">{for_html(c)}</td>' for h, c in pairs)


def _encodings(stored: Sequence[StoredWeights], key: str) -> str:
    """The table of encodings, as HTML; nothing for a model without a choice."""
    if not stored:
        return ""
    found = cells(ENCODINGS, ways(stored))
    head = "".join(f"<th>{h}</th>" for h in found.titles)
    chosen = (way is layer.taken for layer, way in ways(stored))
    lines = [
        f"<tr{' class=chosen' if has else ''}>{_row(found.titles, row)}</tr>"
        for has, row in zip(chosen, found.body, strict=True)
    ]
    body = "\n".join(lines)
    return f"""<h2>{ENCODINGS_TITLE}</h2>
<div><table class="encodings">
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
<p class="note">{for_html(key)}</p>"""


def to_rows(steps: Sequence[Any]) -> list[Row]:
    """Of the results of a run."""
    return [(s.do, s.measured) for s in steps]
