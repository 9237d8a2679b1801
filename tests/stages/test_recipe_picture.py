"""Labels of the report's picture: nothing runs through them."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from intaglio.recipes import picture as recipe_picture
from intaglio.recipes.picture import BOTTOM, DOT, HEIGHT, LEFT, LINE, RIGHT, TOP, WIDTH, Label, place_labels

STEPS = ["0 input", "1 channels", "2 prune", "3 quantize", "4 lossless", "5 encode"]


def readable(points: list[tuple[float, float]], labels: list[Label]) -> bool:
    lines = [label.crossed(a, b, LINE / 2) for label in labels for a, b in pairwise(points)]
    dots = [label.crossed((x - DOT, y), (x + DOT, y), LINE / 2) for label in labels for x, y in points]
    inside = [label.left >= LEFT and label.right <= WIDTH - RIGHT and TOP <= label.y <= HEIGHT for label in labels]
    return all(inside) and not any([*lines, *dots, *(a.meets(b) for a, b in combinations(labels, 2))])


@pytest.mark.parametrize(
    "points",
    [
        [(400.0, 40.0), (300.0, 200.0), (300.0, 220.0), (180.0, 220.0), (180.0, 220.0), (150.0, 220.0)],
        [(400.0, 40.0)] * 6,
        [(100.0 + 60 * k, 60.0 + 40 * (k % 2)) for k in range(6)],
        [(90.0, 30.0), (480.0, 270.0), (90.0, 270.0), (480.0, 30.0), (285.0, 150.0), (285.0, 151.0)],
    ],
)
def test_nothing_runs_through_a_label(points):
    assert readable(points, place_labels(points, STEPS))


def test_nor_in_random_pictures():
    rng = np.random.default_rng(3)
    good = 0
    for _ in range(40):
        x, y = rng.uniform(LEFT + 20, WIDTH - RIGHT - 20, 6), rng.uniform(TOP + 10, HEIGHT - BOTTOM - 10, 6)
        points = sorted(zip(x.tolist(), y.tolist(), strict=True), reverse=True)
        good += readable(points, place_labels(points, STEPS))
    assert good == 40


def test_a_line_and_a_box():
    label = Label(10, 20, 50)
    assert label.crossed((0, 50), (30, 50), 5) and label.crossed((15, 0), (15, 100), 5)
    assert label.crossed((12, 49), (18, 51), 5) and label.crossed((0, 40), (30, 60), 5)
    assert not label.crossed((0, 56), (30, 56), 5) and not label.crossed((0, 50), (9, 50), 5)
    assert not label.crossed((21, 0), (21, 100), 5) and not label.crossed((0, 30), (12, 44), 5)
    assert recipe_picture.place_labels([(15.0, 15.0)], ["a label that is wider than the whole picture" * 3])
