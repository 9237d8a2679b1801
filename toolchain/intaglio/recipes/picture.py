"""The picture of a recipe's report: accuracy (or loss) over bytes, step by step, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..escape import for_html
from .measure import Measured

WIDTH, HEIGHT = 520, 340
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 24, 56
"""Margins of the picture."""
LETTER, LINE = 7.0, 15.0
"""Room for a letter and a line of a label, in the picture's units."""
DOT = 6.0
"""What a point takes, from its middle."""
Point = tuple[float, float]


def picture(rows: Sequence[tuple[str, Measured]]) -> str:
    """Accuracy (or loss) over bytes, as SVG; nothing where there is neither."""
    linked = all(m.flash_bytes is not None for _, m in rows)
    sizes = [float((m.flash_bytes if linked else m.weight_bytes) or 1) for _, m in rows]
    judged = [m.accuracy if m.accuracy is not None else m.loss for _, m in rows]
    values = [v for v in judged if v is not None and math.isfinite(v)]
    if len(values) != len(rows) or not math.isfinite(max(values) - min(values)):
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
    texts = [f"{k} {do}" for k, (do, _) in enumerate(rows)]
    for (a, b), label, said in zip(points, place_labels(points, texts), texts, strict=True):
        if label.far(a, b):
            near = label.right if label.right < a else label.left
            parts.append(f'<line class="lead" x1="{a:.1f}" y1="{b:.1f}" x2="{near:.1f}" y2="{label.y:.1f}"/>')
        parts.append(f'<text x="{label.left:.1f}" y="{label.y + 4:.1f}">{for_html(said)}</text>')
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


@dataclass(frozen=True)
class Label:
    """The room of a text: its middle is at height `y`."""

    left: float
    right: float
    y: float

    def far(self, x: float, y: float) -> bool:
        """Whether it needs a line to its point."""
        return abs(self.y - y) > 1.5 * LINE or x > self.right + 30 or x < self.left - 30

    def meets(self, other: Label) -> bool:
        """Whether two labels overlap."""
        return self.left < other.right and other.left < self.right and abs(self.y - other.y) < LINE

    def crossed(self, a: Point, b: Point, room: float) -> bool:
        """Whether the line from `a` to `b` comes nearer than `room` to its middle (Liang and Barsky, 1984)."""
        first, last = 0.0, 1.0
        for start, end, low, high in (
            (a[0], b[0], self.left, self.right), (a[1], b[1], self.y - room, self.y + room),
        ):  # fmt: skip
            way = end - start
            if way == 0.0:
                if not low < start < high:
                    return False
                continue
            t = sorted(((low - start) / way, (high - start) / way))
            first, last = max(first, t[0]), min(last, t[1])
        return first < last


def place_labels(points: Sequence[Point], texts: Sequence[str]) -> list[Label]:
    """Room for each text near its point: clear of the lines, of the points and of the other labels wherever there is
    such room, and then as near as can be."""
    lines = list(pairwise(points))
    placed: list[Label] = []
    for (x, y), text in zip(points, texts, strict=True):
        wide = LETTER * len(text) + 4
        heights = [at for k in range(-60, 61) if TOP + 8 <= (at := y + k * 5) <= HEIGHT - BOTTOM - 8]
        sides = [left for left in (x + 10, x - 10 - wide, x - wide / 2) if LEFT < left < WIDTH - RIGHT - wide]
        tries = [Label(left, left + wide, at) for at in heights for left in sides]

        def cost(label: Label, x: float = x, y: float = y) -> float:
            hits = sum(label.meets(other) for other in placed)
            hits += sum(label.crossed(a, b, LINE / 2 + 2) for a, b in lines)
            hits += sum(label.crossed((a - DOT, b), (a + DOT, b), LINE / 2 + DOT) for a, b in points)
            middle = (label.left + label.right) / 2
            return 1000.0 * hits + abs(label.y - y) + 0.1 * abs(middle - x)

        placed.append(min(tries, key=cost) if tries else Label(x + 10, x + 10 + wide, y))
    return placed
