"""Keras networks as TFLite's converter writes them (tests/keras): is what intaglio reads what the file means?

Each file is judged as it is. Bytes by the tflite-micro wheel where it can run the file. Where an open batch or an
operator stops it, by LiteRT's reference kernels; the wheel then runs the same model as intaglio writes it, with a batch
of 1. Floats by LiteRT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from common import CORES, ROOT, firmware, publish, table

from intaglio import interpret, oracle, pipeline, runners
from intaglio.emit.tflite import write
from intaglio.errors import UnsupportedError
from intaglio.graph import DTYPES, INT_RANGE, Graph, float_model
from intaglio.profile import relative_error

FILES = sorted((ROOT / "tests" / "keras").glob("*.tflite"))
INPUTS, M4_INPUTS = 8, 2
LIMIT = 1e-5
"""Relative error of floats: the largest difference of an output by its largest value."""
CLOSE = 2
"""How far a number of LiteRT's may be from TFLM's: their FULLY_CONNECTED differ by one, a finer scale makes it two."""
HYBRID = 0.05
"""As LIMIT, for LiteRT on int8 weights beside float activations: it quantizes those too, while it runs."""
Arrays = list[np.ndarray[Any, Any]]


def main() -> None:
    results = []
    for path in FILES:
        found = judge(path) | in_c(path)
        print(found, flush=True)
        results.append(found)
    publish("keras", report(results), results)
    wrong = [r["file"] for r in results if r["problems"] or r["host"] or r["m4"]]
    if wrong:
        raise SystemExit(f"keras: something differs in {', '.join(wrong)}")


def judge(path: Path) -> dict[str, Any]:
    """What the NumPy meaning of a file gives, beside the judge's: `problems` is empty where all is well."""
    graph, data = pipeline.load(path), path.read_bytes()
    network, batch, mode = path.stem.rsplit("-", 2)
    x = drawn(graph)
    got = interpret.run(pipeline.executable(graph), x)
    found: dict[str, Any] = {
        "file": path.name, "network": network, "batch": batch, "mode": mode, "bytes": len(data),
        "operators": len(graph.nodes), "macs": graph.macs(), "elements": sum(y.size for y in got),
    }  # fmt: skip
    if float_model(graph):
        name, want = litert(data, x, graph)
        found |= {"judge": name, "error": relative_error(got, want)}
        if not any(t.is_const and t.dtype == "int8" for t in graph.tensors.values()):
            return found | {"problems": ["floats"] * (found["error"] > LIMIT)}
        found["export"] = relative_error(got, litert(write(pipeline.executable(graph)), x, graph)[1])
        return found | {"problems": ["floats"] * (found["error"] > HYBRID or found["export"] > LIMIT)}
    want = None if batch_matters(data) else attempt(lambda: oracle.run(data, x))
    if want is not None:
        off = differing(got, want)
        return found | {"judge": "TFLM", "differing": off, "problems": ["bytes"] * (off > 0)}
    name, want = litert(data, x, graph)
    off, far = differing(got, want), farthest(got, want)
    again = attempt(lambda: oracle.run(write(graph), x))
    found |= {"judge": name, "differing": off, "farthest": far}
    found["export"] = None if again is None else differing(got, again)
    # Bytes of LiteRT that differ are believed to be its own only where the wheel confirms those of intaglio.
    wrong = far > CLOSE or bool(found["export"]) or (off > 0 and again is None)
    return found | {"problems": ["bytes"] * wrong}


def in_c(path: Path) -> dict[str, Any]:
    """Bytes of the C on host and M4 that differ from the NumPy reference, or a relative error above the limit."""
    graph = pipeline.load(path)
    x = drawn(graph)
    want = interpret.run(pipeline.executable(graph), x)
    found: dict[str, Any] = {}
    for label, board, n in (("host", "host", INPUTS), ("m4", CORES["M4"], M4_INPUTS)):
        with firmware(graph, board) as fw:
            got = runners.run(fw, [v[:n] for v in x]).outputs
            if label == "m4":
                found |= {"flash_bytes": fw.sizes.flash_bytes, "ram_bytes": fw.sizes.ram_bytes}
        kept = [w[:n] for w in want]
        if float_model(graph):
            found[label] = int(relative_error(got, kept) > LIMIT)
        else:
            found[label] = differing(got, kept)
    return found


def drawn(graph: Graph) -> Arrays:
    """Random inputs over the whole range of integers, and -1..1 of floats: [n, *shape]."""
    rng = np.random.default_rng(3)
    found = []
    for t in (graph.tensors[name] for name in graph.inputs):
        if t.dtype == "float32":
            found.append(rng.uniform(-1, 1, (INPUTS, *t.shape)).astype(np.float32))
        else:
            low, high = INT_RANGE[t.dtype]
            found.append(rng.integers(low, high + 1, (INPUTS, *t.shape)).astype(DTYPES[t.dtype]))
    return found


def batch_matters(data: bytes) -> bool:
    """Whether the wheel cannot be asked although it runs the file: it takes the batch that SPACE_TO_BATCH_ND makes as 1
    where the file leaves it open, and pads with whatever lies in its memory."""
    model = tflite.Model.GetRootAs(data, 0)
    main = model.Subgraphs(0)
    is_open = any(-1 in signature(main.Tensors(int(k))) for k in main.InputsAsNumpy())
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    builtins = [max(c.BuiltinCode(), c.DeprecatedBuiltinCode()) for c in codes]
    return is_open and tflite.BuiltinOperator.SPACE_TO_BATCH_ND in builtins


def signature(tensor: Any) -> list[int]:
    return [int(tensor.ShapeSignature(k)) for k in range(tensor.ShapeSignatureLength())]


def attempt(run: Callable[[], Arrays]) -> Arrays | None:
    """What the wheel gives, or None where it cannot run the model."""
    try:
        return run()
    except (RuntimeError, UnsupportedError):
        return None


def litert(data: bytes, x: Arrays, graph: Graph) -> tuple[str, Arrays]:
    """LiteRT's reference kernels; its optimized ones, without XNNPACK, where those lack an operator."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kinds = {"LiteRT reference": OpResolverType.BUILTIN_REF,
             "LiteRT optimized": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}  # fmt: skip
    for name, resolver in kinds.items():
        try:
            interpreter = Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=resolver)
        except ValueError:
            continue
        interpreter.allocate_tensors()
        index = {i["name"]: i["index"] for i in interpreter.get_input_details()}
        rows: list[Sequence[np.ndarray[Any, Any]]] = []
        for i in range(INPUTS):
            for tensor, v in zip(graph.inputs, x, strict=True):
                interpreter.set_tensor(index[tensor], v[i])
            interpreter.invoke()
            rows.append([interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()])
        return name, [np.stack([row[k] for row in rows]) for k in range(len(rows[0]))]
    raise SystemExit("keras: LiteRT cannot run a file")


def differing(a: Sequence[np.ndarray[Any, Any]], b: Sequence[np.ndarray[Any, Any]]) -> int:
    """Elements that differ, to the bit."""
    total = 0
    for x, y in zip(a, b, strict=True):
        if x.dtype != y.dtype or x.size != y.size:
            raise SystemExit(f"outputs are {x.dtype}{x.shape} and {y.dtype}{y.shape}")
        bits = f"u{x.itemsize}"
        total += int((np.frombuffer(x.tobytes(), bits) != np.frombuffer(y.tobytes(), bits)).sum())
    return total


def farthest(a: Sequence[np.ndarray[Any, Any]], b: Sequence[np.ndarray[Any, Any]]) -> int:
    """The largest difference of two integers."""
    return max(int(np.abs(x.ravel().astype(np.int64) - y.ravel()).max()) for x, y in zip(a, b, strict=True))


def report(results: list[dict[str, Any]]) -> str:
    """benchmarks/results/keras.md."""

    def figure(r: dict[str, Any]) -> str:
        return f"{r['error']:.1e}" if "error" in r else str(r["differing"])

    def export(r: dict[str, Any]) -> str:
        if "export" not in r or r["export"] is None:
            return "" if "export" not in r else "cannot run it"
        return f"{r['export']:.1e}" if "error" in r else str(r["export"])

    rows = [
        [r["network"], "any" if r["batch"] == "any" else "1", r["mode"], r["operators"], r["elements"], r["judge"],
         figure(r), export(r), r["host"], r["m4"], r["flash_bytes"], r["ram_bytes"]] for r in results
    ]  # fmt: skip
    networks = {r["network"] for r in results}
    far = [r for r in results if r.get("differing")]
    return "\n".join(
        [
            "# Keras networks",
            "",
            "Made by `make bench` (benchmarks/keras_models.py). The files in tests/keras are written by TensorFlow's",
            "converter (scripts/make_keras_models.py says of which version). Batch `any` is Keras's default, None: it",
            "leaves SHAPE, PACK, GATHER, SPACE_TO_BATCH_ND and their like in the file; intaglio takes the batch as 1.",
            f"{len(networks)} networks in {len(results)} files, {INPUTS} random inputs each.",
            "",
            "`off`: of integers the elements that differ from the judge's, of floats the relative error (the largest",
            "difference of an output by its largest value). The judge is the tflite-micro wheel on the file as it is.",
            "Where it cannot run the file (it lacks an operator, or needs a size that is open; its SPACE_TO_BATCH_ND",
            "pads with what lies in memory), LiteRT runs it, and `export` has the elements that differ from the",
            "wheel's on what intaglio exports. Where weights are int8 beside floats (dynamic range), LiteRT quantizes",
            "activations too while it runs; `export` is then the error against LiteRT on the floats that the weights",
            "stand for.",
            "",
            "Host and M4: elements of the C that differ from the NumPy reference; of a float model 1 would say that",
            f"the relative error is above {LIMIT:.0e}. Flash and RAM, in bytes, are the Cortex-M4's.",
            "",
            table(["network", "batch", "mode", "operators", "elements", "judge", "off", "export", "host", "M4", "flash",
                   "RAM"], rows),
            "Where bytes are off from LiteRT's, its kernels round otherwise than TFLM's (FULLY_CONNECTED, RESIZE):",
            f"{sum(r['differing'] for r in far)} elements of {', '.join(r['file'] for r in far)}, by at most",
            f"{max((r['farthest'] for r in far), default=0)}. The wheel's bytes on the export are those of intaglio.",
            "",
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
