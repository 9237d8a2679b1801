"""The kinds of files that are mutated, and how many of each `make soak` takes."""

from __future__ import annotations

import data
import models
from judge import Kind

KINDS = {
    kind.name: kind
    for kind in (
        Kind("tflite", 20_000, models.mutant_tflite, models.take_tflite),
        Kind("onnx", 5_000, models.mutant_onnx, models.take_onnx),
        Kind("itg", 5_000, models.mutant_itg, models.take_itg),
        Kind("pt2", 5_000, models.mutant_pt2, models.take_pt2),
        Kind("npz", 5_000, data.mutant_npz, data.take_npz),
        Kind("board", 5_000, data.mutant_board, data.take_board),
        Kind("recipe", 5_000, data.mutant_recipe, data.take_recipe),
    )
}
TENTH = 10
