"""Columns of reports: one entry adds a figure to every form of a report, and the JSON is what docs/formats.md says."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from intaglio import boards, profile, stored_weights
from intaglio.columns import COMPUTED, ESTIMATED, Column, cells, nested, ratio, to_json
from intaglio.profile import Latency, LayerCost, Memory, Report
from intaglio.recipes import recipe
from intaglio.recipes import report as recipe_report
from intaglio.recipes.measure import Measured
from intaglio.runners import RunResult
from intaglio.stored_weights import StoredWeights, Way

FORMATS = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text()


def report(cycles: int | None = None) -> Report:
    layers = (LayerCost("first", "conv2d", 1000, 9000, cycles), LayerCost("a" * 70, "reshape", 0, 0, None))
    memory = Memory(50_000, 9_000, 41_000, 3_000, 2_000, 400, 1_900, 800, 300, 400)
    result = RunResult(outputs=[np.zeros((1, 1), np.int8)])
    return Report("m", "b", True, None, Latency(9500, cycles, None), memory, layers, "m.elf", result)


def printed(made: Report, width: int = 120) -> str:
    out = io.StringIO()
    made.table(Console(file=out, width=width))
    return out.getvalue()


def test_the_json_has_the_keys_of_the_page():
    example = FORMATS[FORMATS.index("`intaglio profile --json F` writes") :]
    documented = re.findall(r'"(\w+)":', example[: example.index("```\n\n")])
    found = report().to_dict()
    keys = []
    for key, value in found.items():
        inner = value[0] if isinstance(value, list) else value
        keys += [key, *(inner if isinstance(inner, dict) else ())]
    assert keys == documented and json.loads(json.dumps(found)) == found


def test_a_column_of_layers_is_one_entry(monkeypatch):
    assert "cycles" not in printed(report()) and "cycles" in printed(report(12_345))  # optional: nobody knows it
    per = Column(
        "per", "instr/char", COMPUTED, show=ratio, value=lambda layer, _: layer.instructions / len(layer.name),
        total=lambda whole: whole.latency.instructions / len(whole.layers),
    )  # fmt: skip
    monkeypatch.setattr(profile, "LAYERS", (*profile.LAYERS, per))
    assert report().to_dict()["layers"][0]["per"] == 1800
    shown = printed(report())
    assert "instr/char" in shown and "1800.00" in shown and "4750.00" in shown
    narrow = printed(report(), 80)
    assert max(map(len, narrow.splitlines())) <= 80 and "1800.00" in narrow and "whole in a wider" in narrow


def test_a_figure_of_memory_is_one_entry(monkeypatch):
    free = Column("flash_free", "free", "what is left", "bytes", under="flash_bytes", value=lambda m, _: 1 << 16)
    monkeypatch.setattr(profile, "MEMORY", (*profile.MEMORY, free))
    assert report().to_dict()["memory"]["flash_free"] == 65536
    rows = [re.split(r" {2,}", line.rstrip()) for line in printed(report()).splitlines()]
    names = [line[:24].rstrip() for line in printed(report()).partition("memory, bytes")[2].splitlines()]
    assert ["", "free", "65,536", "what is left"] in rows
    assert names.index("  free") == names.index("flash") + 3
    assert names.index("    touched") == names.index("  arena") + 1
    assert names.index("  frames, deepest calls") == names.index("stack of one inference") + 2


def test_a_column_of_a_recipe_is_one_entry(monkeypatch):
    board = boards.load("host")
    rows = [
        ("input", Measured(None, None, 4000, 2000, 1000, 500, 0.0)),
        ("prune", Measured(None, None, None, 1, 9, 5, 0.5)),
    ]
    made = recipe.parse('[[step]]\ndo = "quantize"\n')
    way = Way("dense", 100, 0, 0, 5000, (), ("speed",))
    stored = [StoredWeights("fc", "dense", (way, Way("huffman", 60, 400, 8, 9000, ("x",), ())))]

    def files() -> tuple[str, str, dict]:
        found = recipe_report.report("m", made, rows, [], "", stored, board, {})
        return found["report.md"].decode(), found["report.html"].decode(), json.loads(found["report.json"])

    markdown, page, data = files()
    assert (
        "|  | step | flash | weights in flash | MACs | weights | zeros |\n|---:|---|---:|---:|---:|---:|---:|"
        in markdown
    )
    assert "| 1 | prune |  | 1 | 9 | 5 | 50.0% |" in markdown and "accuracy |" not in markdown
    assert list(data["steps"][0]) == [
        "step", "do", "accuracy", "loss", "flash_bytes", "weight_bytes", "macs", "weights", "zeros", "unbuilt",
    ]  # fmt: skip
    assert "| fc | **dense** | 100 | 0 | 5,000 | 0 | speed |\n|  | huffman | 60 | 400 | 9,000 | 8 |  |" in markdown
    assert "instructions (estimated)" in markdown and "instructions (estimated)" in page
    steps = Column(
        "per", "MACs/byte", COMPUTED, show=ratio, value=lambda row, _: row[1][1].macs / row[1][1].weight_bytes
    )
    ways = Column("less", "less flash", ESTIMATED, value=lambda row, _: row[0].ways[0].flash_bytes - row[1].flash_bytes)
    monkeypatch.setattr(recipe_report, "STEPS", (*recipe_report.STEPS, steps))
    monkeypatch.setattr(recipe_report, "ENCODINGS", (*stored_weights.ENCODINGS, ways))
    markdown, page, data = files()
    assert "| MACs/byte |" in markdown and "| 9.00 |" in markdown and data["steps"][1]["per"] == 9
    assert "less flash (estimated)" in markdown and "|  | huffman | 60 | 400 | 9,000 | 8 |  | 40 |" in markdown
    assert '<td data-of="MACs/byte">9.00</td>' in page and '<td data-of="less flash (estimated)">40</td>' in page


def test_what_nobody_knows():
    columns = (
        Column("a", "A"),
        Column("b", "B", optional=True),
        Column("c", "C", json=False),
        Column("d", "D", table=False),
    )

    class Row:
        a, b, c, d = None, None, 3, 4

    found = cells(columns, [Row()], missing="-")
    assert (
        found.titles == ("A", "C")
        and found.body == [("-", "3")]
        and to_json(columns, Row()) == {"a": None, "b": None, "d": 4}
    )
    assert [c.key for _, c in nested(columns)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "columns", [profile.LAYERS, profile.MEMORY, profile.LATENCY, stored_weights.ENCODINGS, recipe_report.STEPS]
)
def test_every_figure_says_where_it_comes_from(columns):
    assert all(column.source for column in columns if column.side == "right" and column.heading)
    assert len({column.key for column in columns}) == len(columns)
    assert {column.under for column in columns} <= {"", *(column.key for column in columns)}
