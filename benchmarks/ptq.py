"""Post-training quantization of the float keyword and image models: accuracy of the C on the host, method by method."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from common import SHARED, firmware, publish, table

from intaglio import arrays, models, pipeline, runners
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.graph import Graph
from intaglio.quantize.post_training import post_training

Floats = np.ndarray[Any, np.dtype[np.float32]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

METHODS: dict[str, dict[str, Any]] = {
    "minmax": {"method": "minmax", "bias_corrected": False, "pools_as_means": False},
    "percentile": {"method": "percentile", "bias_corrected": False, "pools_as_means": False},
    "percentile, bias correction": {"pools_as_means": False},
    "mse, bias correction": {"method": "mse", "pools_as_means": False},
    "entropy, bias correction": {"method": "entropy", "pools_as_means": False},
    "percentile, equalization, bias correction": {"equalized": True, "pools_as_means": False},
    "percentile, bias correction, pools as means (default)": {},
    "default, learned rounding": {"rounding": "learned"},
    "default, activations of 16 bits": {"activation_bits": 16},
}
KWS_CALIBRATION = 100
IC_CALIBRATION = 256
PORTION = 1000


def main() -> None:
    x, y = keywords()
    results = {"kws": judge("kws_float", x, y, x[:KWS_CALIBRATION], KWS_CALIBRATION)}
    results["kws"]["official"] = official(y)
    x, y = images("test")
    results["ic"] = judge("ic_float", x, y, images("train", IC_CALIBRATION)[0], 0)
    publish("ptq", report(results), results)


def judge(name: str, x: Floats, y: Labels, calibration: Floats, seen: int) -> dict[str, Any]:
    """One model: its floats, then each method. `seen`: the first so many of `x` were calibrated on."""
    graph = pipeline.load(SHARED / "models" / f"{name}.tflite")
    simplified = simplify(graph)
    floats = portions(lambda part: run_float(simplified, [part])[0], x)
    found: dict[str, Any] = {"inputs": len(x), "calibration": len(calibration), "seen": seen}
    found["float"] = right(floats, y, seen)
    for label, how in METHODS.items():
        outputs = on_host(post_training(graph, calibration, **how), x)
        error = float(((outputs - floats) ** 2).sum())
        found[label] = {
            **right(outputs, y, seen),
            "same_class_as_float": int((outputs.argmax(1) == floats.argmax(1)).sum()),
            "sqnr_db": round(10 * np.log10(float((floats**2).sum()) / error), 2),
        }
        print(f"{name}, {label}: {found[label]}", flush=True)
    return found


def on_host(graph: Graph, x: Floats) -> Floats:
    """The quantized graph as C on this computer; its outputs as real values [n, classes]."""
    ports = models.ports(graph)
    with firmware(graph, "host") as fw:

        def run(part: Floats) -> Floats:
            batch = arrays.batch({"x": part}, ports[0], "inputs")
            return arrays.dequantize(runners.run(fw, batch.arrays).outputs[0], ports[1][0])

        return portions(run, x)


def portions(run: Callable[[Floats], Floats], x: Floats) -> Floats:
    parts = [run(x[i : i + PORTION]) for i in range(0, len(x), PORTION)]
    return np.concatenate(parts).reshape(len(x), -1)


def right(outputs: Floats, y: Labels, seen: int) -> dict[str, int]:
    """How many the model gets right: a tie goes to the first class, and as MLPerf counts, in favour."""
    top = outputs.argmax(1) == y
    tied = outputs[np.arange(len(y)), y] == outputs.max(1)
    return {"right": int(top.sum()), "right_of_unseen": int(top[seen:].sum()), "right_with_ties": int(tied.sum())}


def keywords() -> tuple[Floats, Labels]:
    """kws01: int8 features, back to real values with the official int8 model's input scale and zero point."""
    ready = pipeline.load(SHARED / "models" / "kws_int8.tflite")
    t = ready.tensors[ready.inputs[0]]
    with np.load(SHARED / "data" / "kws01.npz") as data:
        x = (data["x"].astype(np.float32) - t.zero_point) * np.float32(t.scale)
        return x.reshape(len(x), *t.shape[1:]), data["y"].ravel().astype(np.int64)


def official(y: Labels) -> dict[str, int]:
    """The int8 model that MLPerf Tiny publishes, on the same features."""
    with (
        np.load(SHARED / "data" / "kws01.npz") as data,
        firmware(pipeline.load(SHARED / "models" / "kws_int8.tflite"), "host") as fw,
    ):
        outputs = runners.run(fw, [data["x"].reshape(len(y), 1, 49, 10, 1)]).outputs[0].reshape(len(y), -1)
    return right(outputs, y, KWS_CALIBRATION)


def images(part: str, n: int | None = None) -> tuple[Floats, Labels]:
    """The first n of cifar10_jpeg: float32 [n][32][32][3], 0..255 as ic_float takes them."""
    from PIL import Image

    with np.load(SHARED / "data" / "cifar10_jpeg.npz") as data:
        ends = data[f"end_{part}"][:n]
        raw, y = data[f"jpeg_{part}"][: ends[-1]].tobytes(), data[f"y_{part}"][:n]
    starts = [0, *ends[:-1]]
    decoded = [Image.open(io.BytesIO(raw[a:b])).convert("RGB") for a, b in zip(starts, ends, strict=True)]
    return np.stack([np.asarray(one, np.float32) for one in decoded]), y.astype(np.int64)


def report(results: dict[str, dict[str, Any]]) -> str:
    """benchmarks/results/ptq.md."""
    kws, ic = results["kws"], results["ic"]
    unseen = kws["inputs"] - kws["seen"]
    share = lambda r, key, n: f"{r[key] / n:.2%}"  # noqa: E731
    kws_rows, ic_rows = [], []
    for label in ("float", *METHODS):
        k, i = kws[label], ic[label]
        kws_rows.append(
            [label, share(k, "right", kws["inputs"]), share(k, "right_with_ties", kws["inputs"]),
             share(k, "right_of_unseen", unseen), *closeness(k, kws["inputs"])]
        )  # fmt: skip
        lost = (ic["float"]["right"] - i["right"]) / ic["inputs"] * 100
        ic_rows.append([label, share(i, "right", ic["inputs"]), f"{lost:+.2f}", *closeness(i, ic["inputs"])])
    o = kws["official"]
    kws_rows.append(
        ["official kws_int8.tflite", share(o, "right", kws["inputs"]), share(o, "right_with_ties", kws["inputs"]),
         share(o, "right_of_unseen", unseen), "", ""]
    )  # fmt: skip
    return "\n".join(
        [
            "# Post-training quantization to int8",
            "",
            "Made by `make bench` (benchmarks/ptq.py). The integers are those of the generated C on the host, the",
            "floats those of the Graph in PyTorch. As float: its class is the float model's. SQNR: of the outputs.",
            "",
            "## kws_float.tflite",
            "",
            f"The {kws['inputs']:,} keyword inputs of kws01. There is no other data: the model is calibrated on the",
            f"first {kws['seen']} of them, and one column leaves those out. kws01 holds int8 features; they are made",
            "real with the input scale of the official int8 model, so what the float model sees is rounded already.",
            "A tie goes to the first class, or to the right one (the official figure of 90.2 % is counted so).",
            "",
            table(["", "top-1", "ties counted right", f"the other {unseen}", "as float", "SQNR, dB"], kws_rows),
            "## ic_float.tflite",
            "",
            f"All {ic['inputs']:,} test images of cifar10_jpeg, calibrated with the first {ic['calibration']} training",
            "images (the set is shuffled). The images have been through JPEG, which costs this model some ten points.",
            "",
            table(["", "top-1", "points lost", "as float", "SQNR, dB"], ic_rows),
        ]
    )


def closeness(r: dict[str, Any], n: int) -> list[str]:
    return [f"{r['same_class_as_float'] / n:.2%}", f"{r['sqnr_db']:.1f}"] if "sqnr_db" in r else ["", ""]


if __name__ == "__main__":
    main()
