"""Plain SVG pictures of results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

WIDTH, HEIGHT = 860, 520
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 46, 56
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8a4f9e", "#b07d12", "#222222")
TICKS = 6


def scatter(title: str, x_label: str, y_label: str, points: Mapping[str, tuple[float, float]]) -> str:
    """Points with their names beside them. Names of the form "technique, form" have a colour a technique, and are rings
    where the form is soft."""
    xs, ys = ([p[k] for p in points.values()] for k in (0, 1))
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (HEIGHT - TOP - BOTTOM),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="26" font-size="17" font-weight="bold" fill="#222222">{escape(title)}</text>',
    ]
    for x in x_ticks:
        px, _ = at(x, y_ticks[0])
        parts.append(f'<path d="M{px:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#dddddd"/>')
        parts.append(text(px, HEIGHT - BOTTOM + 19, f"{x:g}", "middle"))
    for y in y_ticks:
        _, py = at(x_ticks[0], y)
        parts.append(f'<path d="M{LEFT} {py:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(text(LEFT - 8, py + 4, f"{y:g}", "end"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_label, "middle"))
    parts.append(
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle" '
        f'fill="#222222">{escape(y_label)}</text>'
    )
    kinds = list(dict.fromkeys(name.split(",")[0] for name in points))
    taken: list[tuple[float, float, float]] = []
    for name, (x, y) in sorted(points.items(), key=lambda p: -p[1][1]):
        px, py = at(x, y)
        colour = COLOURS[kinds.index(name.split(",")[0]) % len(COLOURS)]
        inside = "#ffffff" if name.endswith("soft") else colour
        look = f'r="6" fill="{inside}" stroke="{colour}" stroke-width="2.5"'
        parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" {look}/>')
        label = place(px + 11, py + 4, 7.2 * len(name), taken)
        parts.append(text(px + 11, label, name, "start", colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def place(x: float, y: float, width: float, taken: list[tuple[float, float, float]]) -> float:
    """The height of a label at x that lies on none of those placed before, as near to y as may be, downwards."""
    while any(abs(y - other) < 15 and x < right and left < x + width for left, right, other in taken):
        y += 3
    taken.append((x, x + width, y))
    return y


def text(x: float, y: float, content: str, anchor: str, colour: str = "#222222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(content)}</text>'


def ticks(low: float, high: float) -> list[float]:
    """Round numbers around a range, about TICKS of them."""
    span = (high - low) or abs(high) or 1.0
    raw = span / TICKS
    power = 10 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 10) for k in range(first, max(last, first + 1) + 1)]
