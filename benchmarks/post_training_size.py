"""The official int8 keyword model made smaller without training and without labels: what each technique takes in flash,
and what it costs in accuracy and instructions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import CORES, SHARED, differing, publish, table

from intaglio import boards, compiled_folder, interpret, pipeline, profile, runners
from intaglio.build import Firmware
from intaglio.compress.round_weights import round_weights
from intaglio.compress.share import k_means, nearest
from intaglio.graph import Graph, Preference, constant
from intaglio.quantize.side_by_side import channels_of
from intaglio.quantize.simulate import real_values
from intaglio.quantize.weights import closest
from intaglio.select.weights import choose_encodings

SEEN = 300
"""Inputs, the first of kws01, that the rounding sees, without their labels: the model comes with no data."""
BOARD_INPUTS = 8
PRUNED = (0.1, 0.2, 0.3)
ENTRIES = (64, 32, 16)
PRICES = (5e-7, 1e-6, 1.5e-6, 2e-6, 3e-6)
ALLOWED = 0.01
"""Of top-1, lost against the official model."""


def main() -> None:
    with np.load(SHARED / "data" / "kws01.npz") as data:
        x, y = data["x"].reshape(-1, 1, 49, 10, 1), data["y"].ravel().astype(np.int64)
    graph = pipeline.load(SHARED / "models" / "kws_int8.tflite")
    rows: dict[str, dict[str, Any]] = {}
    official = None
    for label, made, weights in variants(graph, x[:SEEN]):
        found, classes = judge(made, x, y, weights)
        official = classes if official is None else official
        found["same_class"] = int((classes == official).sum())
        found["same_class_seen"] = int((classes == official)[:SEEN].sum())
        rows[label] = found
        print(f"{label}: {found}", flush=True)
    results = {"inputs": len(x), "seen": SEEN, "rows": rows}
    publish("post_training_size", report(results), results)


def variants(graph: Graph, seen: np.ndarray[Any, Any]) -> Iterator[tuple[str, Graph, Preference]]:
    yield "as it is", graph, "dense"
    yield "stored losslessly", graph, "size"
    for part in PRUNED:
        yield (
            f"the least {part:.0%} of each layer's weights at 0",
            changed(graph, lambda w, p=part: pruned(w, p)),
            "size",
        )
    for k in ENTRIES:
        yield f"codebooks of {k} entries", changed(graph, lambda w, k=k: shared(w, k)), "size"
    yield "4 bits, least squared error of the weights", four_bits(graph), "size"
    for price in PRICES:
        yield f"rounded at a price of {price:g} a bit", round_weights(graph, [seen], price), "size"


def judge(
    graph: Graph, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], weights: Preference
) -> tuple[dict[str, Any], Any]:
    """Sizes and instructions on the Cortex-M4, right answers of the C on this computer; its classes."""
    stored = choose_encodings(graph, weights)
    kinds = [t.encoding or ("packed" if t.quant and t.quant.bits < 8 else "dense") for t in weights_of(stored)]
    with built(graph, "host", weights) as fw:
        outputs = runners.run(fw, [x]).outputs
    few = x[:BOARD_INPUTS]
    expected = interpret.run(graph, [few])
    with built(graph, CORES["M4"], weights) as fw:
        measured = profile.profile(fw, [few], expected)
        sizes = fw.sizes
    scores = outputs[0].reshape(len(x), -1)
    top = scores.argmax(1)
    tied = scores[np.arange(len(y)), y] == scores.max(1)
    found = {
        "weights": sizes.flash_weight_bytes, "code": sizes.flash_code_bytes, "flash": sizes.flash_bytes,
        "ram": sizes.ram_bytes, "instructions": measured.latency.instructions,
        "differing": differing(measured.result.outputs, expected)
        + differing([o[:BOARD_INPUTS] for o in outputs], expected),
        "encodings": {k: kinds.count(k) for k in sorted(set(kinds))},
        "right": int((top == y).sum()), "right_of_unseen": int((top == y)[SEEN:].sum()),
        "right_with_ties": int(tied.sum()),
    }  # fmt: skip
    return found, top


@contextmanager
def built(graph: Graph, board: str, weights: Preference) -> Iterator[Firmware]:
    with tempfile.TemporaryDirectory() as folder:
        made = compiled_folder.compiled(graph, boards.load(board), Path(folder) / "out", weights=weights)
        assert made.firmware is not None
        yield made.firmware


# ---- techniques to compare with --------------------------------------------------------------------------------------


def weights_of(graph: Graph) -> list[Any]:
    return [graph.tensors[n.inputs[1]] for n in graph.nodes if n.op.weighted]


def changed(graph: Graph, change: Any) -> Graph:
    """The graph with other integers in each layer."""
    made = {t.name: constant(t.name, change(t.data), t.quant) for t in weights_of(graph)}
    return replace(graph, tensors={**graph.tensors, **made})


def pruned(w: np.ndarray[Any, Any], part: float) -> np.ndarray[Any, Any]:
    return np.where(np.abs(w.astype(int)) <= np.quantile(np.abs(w.astype(int)), part), 0, w).astype(np.int8)


def shared(w: np.ndarray[Any, Any], k: int) -> np.ndarray[Any, Any]:
    """Codebooks of the integers as they are: each channel keeps its scale."""
    centres = k_means(w, k)
    return np.round(centres[nearest(w, centres)]).astype(np.int8)


def four_bits(graph: Graph) -> Graph:
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        if not node.op.weighted:
            continue
        t, axis = graph.tensors[node.inputs[1]], node.op.out_axis
        real = real_values(t).astype(np.float64)
        rows = np.moveaxis(real, axis, 0).reshape(real.shape[axis], -1)
        scale = closest(rows, 4).astype(np.float32)
        quant = replace(t.quant, scale=tuple(map(float, scale)), zero_point=(0,) * len(scale), axis=axis, bits=4)
        q = np.clip(np.round(real / channels_of(scale, axis, real.ndim)), -8, 7).astype(np.int8)
        tensors[t.name] = constant(t.name, q, quant)
        b = graph.tensors[node.inputs[2]]
        steps = np.float32(graph.tensors[node.inputs[0]].scale) * scale
        bias = np.round(real_values(b) / steps.astype(np.float64)).astype(np.int32)
        quant = replace(b.quant, scale=tuple(map(float, steps)), zero_point=(0,) * len(steps), axis=0)
        tensors[b.name] = constant(b.name, bias, quant)
    return replace(graph, tensors=tensors)


# ---- the table -------------------------------------------------------------------------------------------------------


def report(results: dict[str, Any]) -> str:
    """benchmarks/results/post_training_size.md."""
    rows, n = results["rows"], results["inputs"]
    unseen = n - results["seen"]
    base = rows["as it is"]
    within = [r for r in rows.values() if base["right"] - r["right"] <= ALLOWED * n]
    least = min(within, key=lambda r: r["flash"])
    cells = []
    for label, r in rows.items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in r["encodings"].items())
        cells.append(
            [f"**{label}**" if r is least else label, r["weights"], r["code"], r["flash"],
             f"{r['flash'] / base['flash']:.0%}", r["ram"], r["instructions"], f"{r['right'] / n:.1%}",
             f"{r['right_with_ties'] / n:.1%}", f"{r['right_of_unseen'] / unseen:.1%}", f"{r['same_class'] / n:.1%}",
             kinds]
        )  # fmt: skip
    header = ["", "weights and biases", "code", "flash", "of it as it is", "RAM", "instructions", "top-1",
              "ties counted right", f"the other {unseen}", "as official", "layers stored"]  # fmt: skip
    return "\n".join(
        [
            "# kws_int8.tflite made smaller after training",
            "",
            "Made by `make bench` (benchmarks/post_training_size.py). No training and no labels. Sizes are those of",
            "the linked image for the Cortex-M4, decoders in the code; instructions those of one inference there;",
            f"accuracy that of the C on this computer over the {n:,} inputs of kws01. Bytes that differ between",
            "reference, C on this computer and the Cortex-M4:",
            f"{sum(r['differing'] for r in rows.values())}.",
            "",
            f"Rounding (`compress/round_weights.py`) sees the first {results['seen']} inputs without labels; one",
            "column leaves them out. Labels say only which row is in bold: the smallest within",
            f"{ALLOWED:.0%} of the official model's top-1. As official: inputs that get its class.",
            "",
            table(header, cells),
            f"In bold: {least['flash']:,} bytes of flash, {least['weights']:,} of them weights and biases (official:",
            f"{base['flash']:,} and {base['weights']:,}).",
            "",
        ]
    )


if __name__ == "__main__":
    main()
