"""The kinds of files that are mutated, and how many of each `make soak` takes."""

from __future__ import annotations

import data_mutants
import model_mutants
import onnx_mutants
import pt2_mutants
from judge import Kind

KINDS = {
    kind.name: kind
    for kind in (
        Kind("tflite", 20_000, model_mutants.mutant_tflite, model_mutants.take_tflite),
        Kind("onnx", 5_000, onnx_mutants.mutant, onnx_mutants.take),
        Kind("itg", 5_000, model_mutants.mutant_itg, model_mutants.take_itg),
        Kind("pt2", 5_000, pt2_mutants.mutant, pt2_mutants.take),
        Kind("npz", 5_000, data_mutants.mutant_npz, data_mutants.take_npz),
        Kind("board", 5_000, data_mutants.mutant_board, data_mutants.take_board),
        Kind("recipe", 5_000, data_mutants.mutant_recipe, data_mutants.take_recipe),
        Kind("manifest", 5_000, data_mutants.mutant_manifest, data_mutants.take_manifest),
    )
}
TENTH = 10
